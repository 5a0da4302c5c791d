"""The part of Fleet's REST API that is read: a live query on one host, and the list of hosts.

https://fleetdm.com/docs/rest-api/rest-api. The tables of an online host are those of a SQLite database, so
that a query that is not SQL fails here as it does there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.servers.trouble import Trouble

TOKEN = "fleet0standin0standin0standin0standin0=="

TABLES: Mapping[str, str] = {
    "processes": "pid INT, parent INT, name TEXT, path TEXT, cmdline TEXT, state TEXT, uid INT, "
    "start_time INT, threads INT, resident_size INT, total_size INT, user_time INT, "
    "system_time INT, disk_bytes_read INT, disk_bytes_written INT",
    "listening_ports": "pid INT, port INT, protocol INT, family INT, address TEXT, path TEXT",
    "deb_packages": "name TEXT, version TEXT, revision TEXT, arch TEXT, status TEXT",
    "rpm_packages": "name TEXT, version TEXT, release TEXT, arch TEXT, install_time INT",
    "logged_in_users": "type TEXT, user TEXT, tty TEXT, host TEXT, time INT, pid INT",
    "last": "username TEXT, tty TEXT, pid INT, type INT, time INT, host TEXT",
    "systemd_units": "id TEXT, description TEXT, load_state TEXT, active_state TEXT, sub_state TEXT, "
    "fragment_path TEXT, user TEXT",
    "file": "path TEXT, directory TEXT, filename TEXT, inode INT, uid INT, gid INT, mode TEXT, size INT, "
    "atime INT, mtime INT, ctime INT, type TEXT",
    "users": "uid INT, username TEXT",
    "uptime": "days INT, total_seconds INT",
    "mounts": "device TEXT, path TEXT, type TEXT, blocks INT, blocks_free INT, blocks_available INT, "
    "blocks_size INT, inodes INT, inodes_free INT, flags TEXT",
    "memory_info": "memory_total INT, memory_free INT, memory_available INT, swap_total INT, swap_free INT",
    "shadow": "username TEXT, password_status TEXT",
}


@dataclass(slots=True)
class Host:
    """``rows`` by table, as values in the order of its columns."""

    hostname: str = "web-1"
    uuid: str = "b2a8a3b6-0000-4000-8000-000000000001"
    state: str = "online"
    rows: dict[str, Sequence[Sequence[Any]]] = field(default_factory=dict)
    error: str = ""


@dataclass(slots=True)
class Fleet:
    hosts: list[Host] = field(default_factory=lambda: [Host()])
    trouble: Trouble = field(default_factory=Trouble)
    queries: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.trouble.middleware, self._known])
        app.router.add_post("/api/v1/fleet/hosts/identifier/{identifier}/query", self._query)
        app.router.add_get("/api/v1/fleet/hosts", self._hosts)
        return app

    @web.middleware
    async def _known(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(401, "Authentication required", "Authentication required")
        response: web.StreamResponse = await handler(request)
        return response

    async def _query(self, request: web.Request) -> web.Response:
        name = request.match_info["identifier"]
        host = next((one for one in self.hosts if name in (one.hostname, one.uuid)), None)
        if host is None:
            return _error(404, "Resource Not Found", f"Host {name} was not found in the datastore")
        body = await request.json()
        if set(body) != {"query"} or not body["query"]:
            return _error(422, "Validation Failed", "query cannot be empty")
        self.queries.append(body["query"])
        answer: dict[str, Any] = {
            "host_id": 3,
            "query": body["query"],
            "status": host.state,
            "error": None,
            "rows": None,
        }
        if host.error:
            answer["error"] = host.error
        elif host.state == "online":
            try:
                answer["rows"] = _run(host, body["query"])
            except sqlite3.Error as error:
                answer["error"] = str(error)
        return web.json_response(answer)

    async def _hosts(self, request: web.Request) -> web.Response:
        size = int(request.query.get("per_page", 100))
        return web.json_response({"hosts": [{"hostname": one.hostname} for one in self.hosts[:size]]})


def database(rows: Mapping[str, Sequence[Sequence[Any]]]) -> sqlite3.Connection:
    """A host's tables, filled."""
    made = sqlite3.connect(":memory:")
    for name, columns in TABLES.items():
        made.execute(f"CREATE TABLE {name} ({columns})")
        for row in rows.get(name, ()):
            made.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", tuple(row))
    return made


def _run(host: Host, sql: str) -> list[dict[str, str]]:
    """Every value as text, as osquery writes them."""
    connection = database(host.rows)
    try:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [
            {name: "" if value is None else str(value) for name, value in zip(names, row, strict=True)}
            for row in cursor
        ]
    finally:
        connection.close()


def _error(status: int, message: str, reason: str) -> web.Response:
    body = {"message": message, "errors": [{"name": "base", "reason": reason}], "uuid": "0f0e"}
    return web.json_response(body, status=status)

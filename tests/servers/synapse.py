"""A real Synapse homeserver on loopback, and people who use it over the plain client API."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib.util
import json
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

SERVER_NAME = "assent.test"
_UNLIMITED = {"per_second": 10000, "burst_count": 10000}


def synapse_missing() -> str | None:
    """None when Synapse is installed, else how to get it."""
    if importlib.util.find_spec("synapse") is None:
        return "Synapse is not installed: pip install 'assent[test]' (or matrix-synapse)"
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Synapse:
    """Starts Synapse with SQLite in a directory of its own; ``async with Synapse() as server``.

    With ``default_rate_limits`` messages are limited as on a fresh install, otherwise nothing is.
    Nothing in it belongs to an event loop, so one instance can serve tests that each have their own.
    """

    def __init__(self, *, default_rate_limits: bool = False, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server_name = SERVER_NAME
        self._default_rate_limits = default_rate_limits
        self._secret = secrets.token_hex(16)
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="assent-synapse-")
        try:
            home = Path(self._directory.name)
            (home / "homeserver.yaml").write_text(json.dumps(self._config(home)))
            await self._run("--generate-keys")
            await self.start()
        except BaseException:
            await self.stop()
            self._directory.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._directory is not None:
            self._directory.cleanup()

    async def start(self) -> None:
        """Start (again) on the same port with the same data, and wait until it answers."""
        assert self._process is None, "already running"
        home = self._home
        with (home / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command(), cwd=home, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            while True:
                if self._process.poll() is not None:
                    raise RuntimeError(f"Synapse did not start:\n{(home / 'output.log').read_text()[-4000:]}")
                try:
                    async with session.get(f"{self.url}/_matrix/client/versions") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End the process; its data stays for the next :meth:`start`."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, 15)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    @property
    def running(self) -> bool:
        return self._process is not None

    async def register(self, name: str | None = None, password: str | None = None) -> Account:
        """Create a user through the shared-secret endpoint; without a name, a new one."""
        name = name or f"user{secrets.token_hex(5)}"
        password = password or secrets.token_hex(12)
        endpoint = f"{self.url}/_synapse/admin/v1/register"
        async with aiohttp.ClientSession() as session:
            async with session.get(endpoint) as answer:
                nonce = (await answer.json())["nonce"]
            text = "\x00".join((nonce, name, password, "notadmin")).encode()
            mac = hmac.new(self._secret.encode(), text, hashlib.sha1).hexdigest()
            body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
            async with session.post(endpoint, json=body) as answer:
                document = await answer.json()
                if answer.status != 200:
                    raise RuntimeError(f"registering {name}: {document}")
        return Account(
            homeserver=self.url,
            user_id=document["user_id"],
            password=password,
            access_token=document["access_token"],
            device_id=document["device_id"],
        )

    async def person(self, name: str | None = None) -> Person:
        """A new user with a client of their own; use it with ``async with`` or close it."""
        return Person(await self.register(name))

    @property
    def _home(self) -> Path:
        assert self._directory is not None, "use it with async with"
        return Path(self._directory.name)

    def _command(self, *extra: str) -> list[str]:
        return [sys.executable, "-m", "synapse.app.homeserver", "-c", "homeserver.yaml", *extra]

    async def _run(self, *extra: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command(*extra),
            cwd=self._home,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(
                f"Synapse {' '.join(extra)} failed:\n{output.decode(errors='replace')[-4000:]}"
            )

    def _config(self, home: Path) -> dict[str, Any]:
        config: dict[str, Any] = {
            "server_name": self.server_name,
            "public_baseurl": f"{self.url}/",
            "pid_file": str(home / "homeserver.pid"),
            "signing_key_path": str(home / "signing.key"),
            "media_store_path": str(home / "media"),
            "listeners": [
                {
                    "port": self.port,
                    "bind_addresses": ["127.0.0.1"],
                    "type": "http",
                    "tls": False,
                    "resources": [{"names": ["client"]}],
                }
            ],
            "database": {"name": "sqlite3", "args": {"database": str(home / "homeserver.db")}},
            "registration_shared_secret": self._secret,
            "macaroon_secret_key": secrets.token_hex(16),
            "form_secret": secrets.token_hex(16),
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "federation_domain_whitelist": [],
            "url_preview_enabled": False,
            "presence": {"enabled": False},
            "report_stats": False,
            # A first sync is otherwise answered from a cache for two minutes, and misses invites.
            "caches": {"sync_response_cache_duration": "0s"},
            # Only the test's own few users: a cheap hash keeps password logins fast.
            "bcrypt_rounds": 4,
        }
        if not self._default_rate_limits:
            config |= {
                "rc_message": _UNLIMITED,
                "rc_registration": _UNLIMITED,
                "rc_registration_token_validity": _UNLIMITED,
                "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), _UNLIMITED),
                "rc_admin_redaction": _UNLIMITED,
                "rc_joins": dict.fromkeys(("local", "remote"), _UNLIMITED),
                "rc_joins_per_room": _UNLIMITED,
                "rc_3pid_validation": _UNLIMITED,
                "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), _UNLIMITED),
                "rc_room_creation": _UNLIMITED,
            }
        return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Credentials of one user and one device."""

    homeserver: str
    user_id: str
    password: str
    access_token: str
    device_id: str


@dataclass(slots=True)
class Person:
    """A user acting over the client-server API, without any code of ours or of the bot's library."""

    account: Account
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def user_id(self) -> str:
        return self.account.user_id

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        allow: Sequence[int] = (200,),
    ) -> dict[str, Any]:
        """One request below ``/_matrix/client``; an unexpected status is an AssertionError."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self.account.access_token}"}
            )
        url = f"{self.account.homeserver}/_matrix/client{path}"
        async with self._session.request(method, url, json=body, params=params) as answer:
            document: dict[str, Any] = await answer.json()
            assert answer.status in allow, f"{method} {path}: {answer.status} {document}"
        return document

    async def create_room(
        self, *, invite: Sequence[str] = (), encrypted: bool = False, public: bool = False, **extra: Any
    ) -> str:
        body: dict[str, Any] = {"preset": "public_chat" if public else "private_chat", "invite": list(invite)}
        if encrypted:
            state = {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
            body["initial_state"] = [state]
        return str((await self.call("POST", "/v3/createRoom", body | extra))["room_id"])

    async def invite(self, room: str, user_id: str) -> None:
        await self.call("POST", f"/v3/rooms/{quote(room)}/invite", {"user_id": user_id})

    async def join(self, room: str) -> None:
        await self.call("POST", f"/v3/join/{quote(room)}", {})

    async def joined_rooms(self) -> list[str]:
        return list((await self.call("GET", "/v3/joined_rooms"))["joined_rooms"])

    async def invited_rooms(self) -> list[str]:
        document = await self.call("GET", "/v3/sync", params={"timeout": "0"})
        return list(document.get("rooms", {}).get("invite", {}))

    async def members(self, room: str) -> dict[str, str]:
        """User id → membership, people who have left included."""
        document = await self.call("GET", f"/v3/rooms/{quote(room)}/members")
        return {event["state_key"]: event["content"]["membership"] for event in document["chunk"]}

    async def send(self, room: str, kind: str, content: Mapping[str, Any]) -> str:
        path = f"/v3/rooms/{quote(room)}/send/{quote(kind)}/{secrets.token_hex(8)}"
        return str((await self.call("PUT", path, content))["event_id"])

    async def text(self, room: str, body: str, *, thread: str | None = None, **extra: Any) -> str:
        content: dict[str, Any] = {"msgtype": "m.text", "body": body}
        if thread is not None:
            content["m.relates_to"] = {
                "rel_type": "m.thread",
                "event_id": thread,
                "is_falling_back": True,
                "m.in_reply_to": {"event_id": thread},
            }
        return await self.send(room, "m.room.message", content | extra)

    async def edit(self, room: str, event_id: str, body: str) -> str:
        content = {"msgtype": "m.text", "body": body}
        relation = {"rel_type": "m.replace", "event_id": event_id}
        return await self.send(
            room,
            "m.room.message",
            {"msgtype": "m.text", "body": f"* {body}", "m.new_content": content, "m.relates_to": relation},
        )

    async def react(self, room: str, event_id: str, key: str) -> str:
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": key}
        return await self.send(room, "m.reaction", {"m.relates_to": relation})

    async def redact(self, room: str, event_id: str) -> str:
        path = f"/v3/rooms/{quote(room)}/redact/{quote(event_id)}/{secrets.token_hex(8)}"
        return str((await self.call("PUT", path, {}))["event_id"])

    async def event(self, room: str, event_id: str) -> dict[str, Any]:
        return await self.call("GET", f"/v3/rooms/{quote(room)}/event/{quote(event_id)}")

    async def timeline(self, room: str) -> list[dict[str, Any]]:
        """Every event of the room that this person may see, oldest first, as the server stores it."""
        events: list[dict[str, Any]] = []
        params = {"dir": "f", "limit": "500"}
        while True:
            page = await self.call("GET", f"/v3/rooms/{quote(room)}/messages", params=params)
            events += page["chunk"]
            if not page.get("end"):
                return events
            params["from"] = page["end"]

    async def relations(self, room: str, event_id: str, rel_type: str) -> list[dict[str, Any]]:
        path = f"/v1/rooms/{quote(room)}/relations/{quote(event_id)}/{quote(rel_type)}"
        document = await self.call("GET", path, params={"limit": "100", "dir": "f"})
        return list(document["chunk"])

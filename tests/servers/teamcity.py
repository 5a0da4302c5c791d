"""The part of TeamCity's REST API that is read: the build locator, fields, paging and error bodies.

https://www.jetbrains.com/help/teamcity/rest/teamcity-rest-api-documentation.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.servers.trouble import Trouble

TOKEN = "eyJ0eXAiOiAiVENWMiJ9.standinstandin.standinstandin"


@dataclass(slots=True, kw_only=True)
class Build:
    """``changes``: version, author, comment and file names."""

    id: int
    at: datetime | None
    status: str = "SUCCESS"
    state: str = "finished"
    build_type: str = "Shop_Deploy"
    changes: list[tuple[str, str, str, list[str]]] = field(default_factory=list)


@dataclass(slots=True)
class TeamCity:
    """``root``: the path it is served under, as many installations have one."""

    builds: list[Build] = field(default_factory=list)
    trouble: Trouble = field(default_factory=Trouble)
    root: str = "/teamcity"

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.trouble.middleware])
        app.router.add_get(f"{self.root}/app/rest/builds", self._builds)
        return app

    async def _builds(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401, text="Incorrect username or password.\nTo login manually go to …")
        locator = request.query["locator"]
        build_type = re.search(r"buildType:\(id:(\w+)\)", locator)
        assert build_type is not None
        if not any(one.build_type == build_type[1] for one in self.builds):
            message = f"No build type nor template is found by id '{build_type[1]}'."
            refusal = {"errors": [{"message": message, "statusText": "Not Found"}]}
            return web.json_response(refusal, status=404)
        found = [one for one in self.builds if one.build_type == build_type[1] and _matches(one, locator)]
        found.sort(key=lambda one: one.id, reverse=True)
        count, start = _number(locator, "count", 100), _number(locator, "start", 0)
        page = [_build(one) for one in found[start : start + count]]
        body: dict[str, Any] = {"count": len(page), **({"build": page} if page else {})}
        if len(found) > start + count:
            later = re.sub(r",start:\d+", "", locator) + f",start:{start + count}"
            fields = quote(request.query["fields"])
            body["nextHref"] = f"{self.root}/app/rest/builds?locator={quote(later)}&fields={fields}"
        return web.json_response(body)


def stamp(at: datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%S%z")


def _number(locator: str, name: str, default: int) -> int:
    match = re.search(rf"(?:^|,){name}:(\d+)", locator)
    return int(match[1]) if match else default


def _matches(one: Build, locator: str) -> bool:
    if "status:SUCCESS" in locator and one.status != "SUCCESS":
        return False
    if "state:finished" in locator and one.state != "finished":
        return False
    for date, condition in re.findall(r"startDate:\(date:([^,]+),condition:(\w+)\)", locator):
        limit = datetime.strptime(date, "%Y%m%dT%H%M%S%z")
        if one.at is None or (one.at <= limit if condition == "after" else one.at >= limit):
            return False
    return True


def _build(one: Build) -> dict[str, Any]:
    changes: list[dict[str, Any]] = [
        {
            "id": number,
            "version": version,
            "username": author,
            "comment": comment,
            "webUrl": f"https://ci.example.org/change/{number}",
            "files": {"file": [{"file": name} for name in names]},
        }
        for number, (version, author, comment, names) in enumerate(one.changes)
    ]
    return {
        "id": one.id,
        "number": str(one.id - 1000),
        "status": one.status,
        "state": one.state,
        **({"startDate": stamp(one.at)} if one.at else {}),
        "webUrl": f"https://ci.example.org/build/{one.id}",
        "triggered": {"user": {"username": "grace"}},
        "changes": {"count": len(changes), "change": changes},
    }

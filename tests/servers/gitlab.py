"""The part of GitLab's REST API that is read: its paths, paging, limits and error bodies.

https://docs.gitlab.com/api/rest/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.servers.history import Commit, History
from tests.servers.trouble import Trouble, page_of

TOKEN = "glpat-standin0standin0standin"


def when(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass(slots=True, kw_only=True)
class Deployment:
    """``job``: whether a job of a pipeline made it; one that waits has not begun."""

    id: int
    at: datetime
    sha: str
    status: str = "success"
    environment: str = "production"
    author: str = "ada"
    job: bool = True


@dataclass(slots=True)
class GitLab:
    """One project, acme/web/shop (number 42)."""

    history: History = field(default_factory=History)
    deployments: list[Deployment] = field(default_factory=list)
    trouble: Trouble = field(default_factory=Trouble)
    remaining: int = 2000
    compare_timeout: bool = False

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.trouble.middleware, self._limits])
        base = "/api/v4/projects/{project}"
        app.router.add_get(f"{base}/deployments", self._deployments)
        app.router.add_get(f"{base}/repository/compare", self._compare)
        app.router.add_get(f"{base}/repository/commits", self._commits)
        app.router.add_get(base + "/repository/commits/{sha}/diff", self._diff)
        return app

    @web.middleware
    async def _limits(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("PRIVATE-TOKEN") != TOKEN:
            return web.json_response({"message": "401 Unauthorized"}, status=401)
        self.remaining -= 1
        if self.remaining < 0:
            headers = {"Retry-After": "60", "RateLimit-Remaining": "0", "RateLimit-Reset": "1772366400"}
            return web.Response(status=429, text="Retry later\n", headers=headers)
        if request.match_info.get("project") not in ("acme/web/shop", "42"):
            return web.json_response({"message": "404 Project Not Found"}, status=404)
        response: web.StreamResponse = await handler(request)
        return response

    async def _deployments(self, request: web.Request) -> web.Response:
        wanted = request.query.get("environment")
        assert (request.query["order_by"], request.query["sort"]) == ("id", "desc")
        found = [one for one in self.deployments if wanted in (None, one.environment)]
        found.sort(key=lambda one: one.id, reverse=True)
        return _paged(request, [_deployment(one) for one in found])

    async def _compare(self, request: web.Request) -> web.Response:
        base, head = self.history.find(request.query["from"]), self.history.find(request.query["to"])
        if base is None or head is None:
            return web.json_response({"message": "404 Ref Not Found"}, status=404)
        straight = request.query.get("straight") == "true"
        files = self.history.files(base, head)
        if straight and base > head:
            files = self.history.files(head, base)
        return web.json_response(
            {
                "commits": [_listed(one) for one in self.history.between(base, head)],
                "diffs": _diffs(files),
                "compare_timeout": self.compare_timeout,
                "compare_same_ref": base == head,
            }
        )

    async def _commits(self, request: web.Request) -> web.Response:
        since, until = request.query.get("since", ""), request.query.get("until", "9")
        found: list[Any] = [
            _listed(one) for one in reversed(self.history.commits) if since <= when(one.at) <= until
        ]
        return _paged(request, found)

    async def _diff(self, request: web.Request) -> web.Response:
        place = self.history.find(request.match_info["sha"])
        if place is None:
            return web.json_response({"message": "404 Commit Not Found"}, status=404)
        return _paged(request, _diffs(self.history.commits[place].files))


def _deployment(one: Deployment) -> dict[str, Any]:
    begun = one.status not in ("created", "blocked")
    job = {
        "id": one.id * 10,
        "web_url": f"https://gitlab.com/acme/web/shop/-/jobs/{one.id * 10}",
        "started_at": when(one.at + timedelta(seconds=5)) if begun else None,
        "finished_at": when(one.at + timedelta(seconds=60)) if begun and one.status != "running" else None,
    }
    return {
        "id": one.id,
        "iid": one.id,
        "ref": "main",
        "sha": one.sha,
        "created_at": when(one.at),
        "updated_at": when(one.at + timedelta(seconds=60)),
        "status": one.status,
        "user": {"username": one.author, "name": one.author.title()},
        "environment": {"id": 9, "name": one.environment},
        "deployable": job if one.job else None,
    }


def _listed(one: Commit) -> dict[str, Any]:
    return {
        "id": one.sha,
        "short_id": one.sha[:8],
        "title": one.message.partition("\n")[0],
        "message": one.message,
        "author_name": one.author,
        "author_email": f"{one.author}@example.org",
        "created_at": when(one.at),
        "committed_date": when(one.at),
        "web_url": f"https://gitlab.com/acme/web/shop/-/commit/{one.sha}",
    }


def _diffs(files: dict[str, str]) -> list[Any]:
    return [
        {
            "old_path": path,
            "new_path": path,
            "new_file": False,
            "renamed_file": False,
            "deleted_file": False,
            "diff": patch,
            "too_large": not patch,
        }
        for path, patch in files.items()
    ]


def _paged(request: web.Request, items: list[Any]) -> web.Response:
    page, following = page_of(request, items, default=20)
    headers = {"Link": f'<{following}>; rel="next", <{request.url}>; rel="first"'} if following else {}
    return web.json_response(page, headers=headers)

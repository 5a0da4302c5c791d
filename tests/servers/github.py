"""The part of GitHub's REST API that is read: its paths, paging, limits and error bodies.

https://docs.github.com/en/rest?apiVersion=2022-11-28
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.servers.history import Commit, History
from tests.servers.trouble import Trouble, page_of

TOKEN = "ghp_standin0standin0standin0standin000000"
_DOCS = "https://docs.github.com/rest"


def when(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True, kw_only=True)
class Deployment:
    """``statuses``: seconds after ``at``, and the state then. Without any, none was ever reported."""

    id: int
    at: datetime
    sha: str
    ref: str = "main"
    environment: str = "production"
    author: str = "ada"
    statuses: list[tuple[int, str]] = field(default_factory=lambda: [(5, "in_progress"), (60, "success")])


@dataclass(slots=True)
class GitHub:
    """One repository, acme/shop."""

    history: History = field(default_factory=History)
    deployments: list[Deployment] = field(default_factory=list)
    releases: list[dict[str, Any]] = field(default_factory=list)
    trouble: Trouble = field(default_factory=Trouble)
    remaining: int = 5000
    reset: int = 1772366400

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.trouble.middleware, self._limits])
        base = "/repos/acme/shop"
        app.router.add_get(f"{base}/deployments", self._deployments)
        app.router.add_get(base + r"/deployments/{id:\d+}/statuses", self._statuses)
        app.router.add_get(base + "/compare/{range}", self._compare)
        app.router.add_get(f"{base}/commits", self._commits)
        app.router.add_get(base + "/commits/{sha}", self._commit)
        app.router.add_get(f"{base}/releases", self._releases)
        return app

    @web.middleware
    async def _limits(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(401, "Bad credentials")
        self.remaining -= 1
        headers = {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(max(0, self.remaining)),
            "X-RateLimit-Reset": str(self.reset),
        }
        if self.remaining < 0:
            response = _error(403, "API rate limit exceeded for user ID 1.")
        else:
            try:
                response = await handler(request)
            except web.HTTPNotFound:
                response = _error(404, "Not Found")
        response.headers.update(headers)
        return response

    async def _deployments(self, request: web.Request) -> web.Response:
        wanted = request.query.get("environment")
        found = [one for one in self.deployments if wanted in (None, one.environment)]
        found.sort(key=lambda one: (one.at, one.id), reverse=True)
        return _paged(request, [_deployment(one) for one in found])

    async def _statuses(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        one = next((one for one in self.deployments if one.id == number), None)
        if one is None:
            return _error(404, "Not Found")
        states: list[Any] = [
            {"id": after, "state": state, "created_at": when(one.at + timedelta(seconds=after))}
            for after, state in reversed(one.statuses)
        ]
        return _paged(request, states)

    async def _compare(self, request: web.Request) -> web.Response:
        left, _, right = request.match_info["range"].partition("...")
        base, head = self.history.find(left), self.history.find(right)
        if base is None or head is None:
            return _error(404, "Not Found")
        commits = self.history.between(base, head)
        status = "identical" if base == head else "ahead" if base < head else "behind"
        size = int(request.query.get("per_page", 250))
        return web.json_response(
            {
                "status": status,
                "ahead_by": max(0, head - base),
                "behind_by": max(0, base - head),
                "total_commits": len(commits),
                "commits": [_listed(one) for one in commits[:size]],
                "files": _files(self.history.files(base, head))[:300],
            }
        )

    async def _commits(self, request: web.Request) -> web.Response:
        since, until = request.query.get("since", ""), request.query.get("until", "9")
        path = request.query.get("path", "")
        found: list[Any] = [
            _listed(one)
            for one in reversed(self.history.commits)
            if since <= when(one.at) <= until and (not path or any(f.startswith(path) for f in one.files))
        ]
        return _paged(request, found)

    async def _commit(self, request: web.Request) -> web.Response:
        place = self.history.find(request.match_info["sha"])
        if place is None:
            return _error(422, f"No commit found for SHA: {request.match_info['sha']}")
        one = self.history.commits[place]
        return web.json_response({**_listed(one), "files": _files(one.files)})

    async def _releases(self, request: web.Request) -> web.Response:
        return _paged(request, list(reversed(self.releases)))


def release(tag: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "tag_name": tag,
        "name": f"Shop {tag}",
        "draft": False,
        "published_at": when(at),
        "author": {"login": "ada"},
        "html_url": f"https://github.com/acme/shop/releases/tag/{tag}",
        **more,
    }


def _deployment(one: Deployment) -> dict[str, Any]:
    last = max((after for after, _ in one.statuses), default=0)
    return {
        "id": one.id,
        "sha": one.sha,
        "ref": one.ref,
        "task": "deploy",
        "environment": one.environment,
        "creator": {"login": one.author},
        "created_at": when(one.at),
        "updated_at": when(one.at + timedelta(seconds=last)),
    }


def _listed(one: Commit) -> dict[str, Any]:
    person = {"name": one.author, "email": f"{one.author}@example.org", "date": when(one.at)}
    return {
        "sha": one.sha,
        "commit": {"message": one.message, "author": person, "committer": person},
        "author": {"login": one.author},
        "html_url": f"https://github.com/acme/shop/commit/{one.sha}",
    }


def _files(files: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"filename": path, "status": "modified", "changes": 1, **({"patch": patch} if patch else {})}
        for path, patch in files.items()
    ]


def _paged(request: web.Request, items: list[Any]) -> web.Response:
    page, following = page_of(request, items)
    headers = {"Link": f'<{following}>; rel="next", <{request.url}>; rel="last"'} if following else {}
    return web.json_response(page, headers=headers)


def _error(status: int, message: str) -> web.Response:
    body = {"message": message, "documentation_url": _DOCS, "status": str(status)}
    return web.json_response(body, status=status)

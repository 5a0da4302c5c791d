"""TeamCity: builds that deploy, and the changes in them; it tells file names, but no diffs.

https://www.jetbrains.com/help/teamcity/rest/buildlocator.html
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiohttp

from adapters.evidence.changes.diffs import FilePatch
from adapters.evidence.changes.source import MAX_PAGES, ChangeSource, Found, made, with_diff
from adapters.evidence.json_api import JsonApi, Question, Refused
from adapters.evidence.json_shape import Malformed, listing, mapping, optional, text
from bot.domain.clock import Clock
from bot.domain.evidence import Window
from config.schema import TeamcityBuild, TeamcitySource

_COUNT = 50
_CHANGES = 100
_FIELDS = (
    "count,nextHref,build(id,number,status,state,startDate,webUrl,triggered(user(username)),"
    f"changes($locator(count:{_CHANGES}),count,change(id,version,username,comment,webUrl,"
    "files(file(file)))))"
)
_PREVIOUS = "count,build(number)"


def teamcity_changes(config: TeamcitySource, session: aiohttp.ClientSession, clock: Clock) -> ChangeSource:
    token = config.token.get_secret_value()
    api = JsonApi(
        str(config.url),
        session,
        timeout=config.timeout,
        headers={"Authorization": f"Bearer {token}"},
        secrets=(token,),
    )
    return ChangeSource(
        config.name,
        [_Build(section, api.address) for section in config.builds],
        api,
        clock,
        link=api.address,
        outsider_writable=False,
    )


class _Build:
    def __init__(self, config: TeamcityBuild, address: str) -> None:
        self.name = config.build_type
        self.service = config.service
        self._where = f" to {config.environment}" if config.environment else ""
        self._address = address

    def command(self, window: Window) -> str:
        address = f"{self._address}/app/rest/builds?locator={quote(self._locator(window), safe='():,')}"
        return (
            'curl -sg -H "Authorization: Bearer $TEAMCITY_TOKEN" -H "Accept: application/json" '
            f"{shlex.quote(address)}"
        )

    def _locator(self, window: Window) -> str:
        return (
            f"buildType:(id:{self.name}),defaultFilter:false,branch:default:any,personal:false,canceled:false,"
            f"state:any,startDate:(date:{_stamp(window.start)},condition:after),"
            f"startDate:(date:{_stamp(window.end)},condition:before),count:{_COUNT}"
        )

    async def changes(self, question: Question, window: Window) -> Found:
        found = Found()
        params = [("locator", self._locator(window)), ("fields", _FIELDS)]
        reply = await question.get("/app/rest/builds", params)
        builds: list[Mapping[str, Any]] = []
        for page in range(1, MAX_PAGES + 1):
            data = mapping(reply.data, "builds")
            builds += _builds(data)
            following = optional(data, "nextHref")
            if not following:
                break
            if page == MAX_PAGES:
                found.note(f"only the newest {len(builds)} builds were looked at")
                break
            try:
                reply = await question.follow(following)
            except Refused as error:
                found.note(f"only the newest {len(builds)} builds were looked at: {error}")
                break
        started = sorted(
            ((at, item) for item in builds if (at := _started(item)) is not None), key=lambda pair: pair[0]
        )
        before = await self._before(question, window, found) if started else ""
        for at, item in started:
            await self._built(at, item, before, found)
            if optional(item, "status") == "SUCCESS" and optional(item, "state") == "finished":
                before = text(item, "number", "a build")
        return found

    async def _before(self, question: Question, window: Window, found: Found) -> str:
        """The number of the build that was live at the start of the window."""
        locator = (
            f"buildType:(id:{self.name}),defaultFilter:false,branch:default:any,personal:false,canceled:false,"
            f"state:finished,status:SUCCESS,startDate:(date:{_stamp(window.start)},condition:before),count:1"
        )
        try:
            reply = await question.get("/app/rest/builds", [("locator", locator), ("fields", _PREVIOUS)])
            builds = _builds(mapping(reply.data, "builds"))
            return text(builds[0], "number", "a build") if builds else ""
        except Refused as error:
            found.note(f"the build before: {error}")
            return ""

    async def _built(self, at: datetime, item: Mapping[str, Any], before: str, found: Found) -> None:
        identity = text(item, "id", "a build")
        number = text(item, "number", "a build")
        status = optional(item, "status")
        running = optional(item, "state") == "running"
        outcome = " (running)" if running else "" if status == "SUCCESS" else f" ({status.lower()})"
        inner = mapping(item.get("changes", {}), "changes")
        changes = listing(inner.get("change", []), "changes")
        if isinstance(count := inner.get("count"), int) and count > len(changes):
            found.note(f"{len(changes)} of {count} changes of build {number} are known")
        elif len(changes) >= _CHANGES:
            found.note(f"only the newest {len(changes)} changes of build {number} are known")
        names: dict[str, None] = {}
        for change in changes:
            files = _files(change)
            names |= dict.fromkeys(files)
            version = text(change, "version", "a change")
            commit = made(
                identity=version,
                kind="commit",
                at=at,
                service=self.service,
                title=optional(change, "comment"),
                author=optional(change, "username"),
                version=version[:12],
                link=optional(change, "webUrl"),
            )
            found.changes.append(await with_diff(commit, [FilePatch(path=file) for file in files]))
        deploy = made(
            identity=f"build-{identity}",
            kind="deploy",
            at=at,
            service=self.service,
            title=f"build {number} of {self.name}{self._where}{outcome}",
            author=optional(item, "triggered", "user", "username"),
            version=number,
            before=before,
            after=number,
            link=optional(item, "webUrl"),
        )
        found.changes.append(await with_diff(deploy, [FilePatch(path=file) for file in names]))


def _builds(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Older servers leave out an empty list; anything else without one is no answer."""
    if data.get("count") == 0 and "build" not in data:
        return []
    return listing(data.get("build"), "builds")


def _files(change: Mapping[str, Any]) -> list[str]:
    listed = mapping(change.get("files", {}), "files").get("file", [])
    return [text(item, "file", "a file") for item in listing(listed, "files")]


def _started(item: Mapping[str, Any]) -> datetime | None:
    """None for a build that waits in the queue."""
    written = optional(item, "startDate")
    if not written:
        return None
    try:
        return datetime.strptime(written, "%Y%m%dT%H%M%S%z").astimezone(UTC)
    except ValueError:
        raise Malformed("answered with a build without a readable startDate") from None


def _stamp(at: datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%S%z")

"""GitLab: deployments with what they brought; where none are recorded, commits.

https://docs.gitlab.com/api/deployments/, …/api/repositories/#compare-branches-tags-or-commits, …/api/commits/
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp

from adapters.evidence.changes.diffs import FilePatch
from adapters.evidence.changes.source import (
    BEFORE,
    MAX_DIFFS,
    MAX_PAGES,
    ChangeSource,
    Found,
    in_folders,
    made,
    touches,
    with_diff,
)
from adapters.evidence.json_api import JsonApi, Params, Question, Refused
from adapters.evidence.json_shape import (
    Malformed,
    listing,
    mapping,
    moment,
    optional,
    optional_moment,
    text,
)
from bot.domain.clock import Clock
from bot.domain.evidence import Change, Window
from config.schema import GitlabProject, GitlabSource

_EARLIER = 3


def gitlab_changes(config: GitlabSource, session: aiohttp.ClientSession, clock: Clock) -> ChangeSource:
    token = config.token.get_secret_value() if config.token is not None else ""
    site = str(config.url).rstrip("/")
    api = JsonApi(
        f"{site}/api/v4",
        session,
        timeout=config.timeout,
        headers={"PRIVATE-TOKEN": token} if token else {},
        secrets=(token,),
    )
    return ChangeSource(
        config.name,
        [_Project(section, site) for section in config.projects],
        api,
        clock,
        link=site,
        outsider_writable=config.outsider_writable,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    """``started``: when it began to take effect; None where it only waits."""

    id: str
    sha: str
    ref: str
    status: str
    environment: str
    author: str
    created: datetime
    started: datetime | None
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    commits: Sequence[Mapping[str, Any]]
    patches: Sequence[FilePatch]
    incomplete: bool

    @property
    def back(self) -> bool:
        """Nothing was added and yet something differs: the later of the two is the older code."""
        return not self.commits and bool(self.patches)


class _Project:
    def __init__(self, config: GitlabProject, site: str) -> None:
        self.name = config.project
        self.service = config.service
        self._config = config
        self._path = f"/projects/{quote(config.project, safe='')}"
        self._site = site

    def command(self, window: Window) -> str:
        address = f"{self._path[1:]}/deployments?order_by=id&sort=desc"
        if self._config.environments:
            address += f"&environment={quote(self._config.environments[0])}"
        return f"glab api {shlex.quote(address)}"

    async def changes(self, question: Question, window: Window) -> Found:
        found = Found()
        deployments: list[_Deployment] = []
        for environment in self._config.environments or ("",):
            try:
                deployments += await self._deployments(question, environment, window, found)
            except Refused as error:
                found.note(str(error))
        if not deployments and not found.notes:
            await self._committed(question, window, found)
            return found
        fetched: dict[str, Change] = {}
        for index, one in enumerate(deployments):
            if one.started is None or not window.start <= one.started < window.end:
                continue
            try:
                await self._deployed(question, one, one.started, deployments[index + 1 :], found, fetched)
            except Refused as error:
                found.note(f"deployment {one.id}: {error}")
                if question.left <= 0:
                    break
        return found

    async def _deployments(
        self, question: Question, environment: str, window: Window, found: Found
    ) -> list[_Deployment]:
        """Newest first, until well before the window."""
        params = [
            ("order_by", "id"),
            ("sort", "desc"),
            ("per_page", "100"),
            *([("environment", environment)] if environment else []),
        ]
        reply = await question.get(f"{self._path}/deployments", params)
        kept: list[_Deployment] = []
        for page in range(1, MAX_PAGES + 1):
            kept += [_deployment(item) for item in listing(reply.data, "deployments")]
            before = [one for one in kept if one.created < window.start - BEFORE]
            # Redeployments of one commit say nothing of what was live before it.
            if reply.following is None or (len(before) > _EARLIER and len({one.sha for one in before}) > 1):
                break
            if page == MAX_PAGES:
                found.note(f"only the newest {len(kept)} deployments were looked at")
                break
            try:
                reply = await question.follow(reply.following)
            except Refused as error:
                found.note(f"only the newest {len(kept)} deployments were looked at: {error}")
                break
        return sorted(kept, key=lambda one: (one.created, int(one.id)), reverse=True)

    async def _deployed(
        self,
        question: Question,
        one: _Deployment,
        at: datetime,
        earlier: Sequence[_Deployment],
        found: Found,
        fetched: dict[str, Change],
    ) -> None:
        same = [e for e in earlier if e.environment == one.environment and e.sha != one.sha]
        previous = next((e for e in same if e.status == "success"), None)
        comparison: _Comparison | None = None
        if previous is None:
            found.note(f"deployment {one.id} has none before it to compare with")
        else:
            try:
                comparison = await self._compare(question, previous.sha, one.sha)
            except Refused as error:
                found.note(f"what deployment {one.id} brought: {error}")
        back = comparison is not None and comparison.back
        verb = "rolled back" if back else "deployed"
        outcome = "" if one.status == "success" else f" ({one.status})"
        change = made(
            identity=f"deployment-{one.id}",
            kind="rollback" if back else "deploy",
            at=at,
            service=self.service,
            title=f"{verb} {one.ref} {one.sha[:12]} to {one.environment}{outcome}",
            author=one.author,
            version=one.sha[:12],
            before="" if previous is None else previous.sha,
            after=one.sha,
            link=one.link or self._site,
        )
        if comparison is None:
            found.changes.append(change)
            return
        if comparison.incomplete:
            found.note(f"the diff of deployment {one.id} is incomplete")
        patches = in_folders(self._config.paths, comparison.patches)
        if self._config.paths and not patches and not comparison.incomplete:
            return
        found.changes.append(await with_diff(change, patches))
        # GitLab lists them oldest first.
        await self._commits(question, list(reversed(comparison.commits)), at, found, fetched)

    async def _compare(self, question: Question, before: str, after: str) -> _Comparison:
        # Straight, so that a rollback shows what it took away.
        params = [("from", before), ("to", after), ("straight", "true")]
        reply = await question.get(f"{self._path}/repository/compare", params)
        data = mapping(reply.data, "a comparison")
        diffs = listing(data.get("diffs"), "diffs")
        return _Comparison(
            commits=listing(data.get("commits"), "commits"),
            patches=[_patch(item) for item in diffs],
            incomplete=data.get("compare_timeout") is True or any(_left_out(item) for item in diffs),
        )

    async def _commits(
        self,
        question: Question,
        newest: Sequence[Mapping[str, Any]],
        at: datetime | None,
        found: Found,
        fetched: dict[str, Change],
    ) -> None:
        """Each commit with its own diff. ``at``: when it took effect; None: when it was committed."""
        if len(newest) > MAX_DIFFS:
            found.note(f"only the newest {MAX_DIFFS} of {len(newest)} commits were looked at")
        for item in newest[:MAX_DIFFS]:
            change = self._commit(item, at)
            if change.id in fetched:
                found.changes.append(replace(fetched[change.id], at=change.at))
                continue
            try:
                path = f"{self._path}/repository/commits/{quote(change.id, safe='')}/diff"
                reply = await question.get(path, [("per_page", "100")])
                diffs = listing(reply.data, "diffs")
                patches = [_patch(diff) for diff in diffs]
            except Refused as error:
                found.note(f"the diff of {change.version}: {error}")
                if not self._config.paths:
                    found.changes.append(change)
                continue
            if reply.following is not None or any(_left_out(diff) for diff in diffs):
                found.note(f"the diff of {change.version} is incomplete")
            if not touches(self._config.paths, [p for one in patches for p in (one.path, one.renamed_from)]):
                continue
            fetched[change.id] = await with_diff(change, in_folders(self._config.paths, patches))
            found.changes.append(fetched[change.id])

    def _commit(self, item: Mapping[str, Any], at: datetime | None) -> Change:
        sha = text(item, "id", "a commit")
        return made(
            identity=sha,
            kind="commit",
            at=at or moment(item, "committed_date", "a commit"),
            service=self.service,
            title=optional(item, "title"),
            author=optional(item, "author_name"),
            version=sha[:12],
            link=optional(item, "web_url"),
        )

    async def _committed(self, question: Question, window: Window, found: Found) -> None:
        branch = self._config.branch
        params: Params = [
            ("since", _second(window.start)),
            ("until", _second(window.end + timedelta(seconds=1))),
            ("per_page", "100"),
            *([("ref_name", branch)] if branch else []),
            *([("path", self._config.paths[0])] if len(self._config.paths) == 1 else []),
        ]
        reply = await question.get(f"{self._path}/repository/commits", params)
        commits = listing(reply.data, "commits")
        if reply.following is not None:
            found.note(f"only the newest {len(commits)} commits were looked at")
        await self._commits(question, commits, None, found, {})


def _second(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _deployment(item: Mapping[str, Any]) -> _Deployment:
    what = "a deployment"
    number = text(item, "id", what)
    if not (number.isascii() and number.isdigit()):
        raise Malformed("answered with a deployment whose id is no number")
    created = moment(item, "created_at", what)
    status = text(item, "status", what)
    started = optional_moment(item, "deployable", "started_at")
    if status in ("running", "success", "failed"):
        started = started or created
    return _Deployment(
        id=number,
        sha=text(item, "sha", what),
        ref=text(item, "ref", what),
        status=status,
        environment=text(mapping(item.get("environment"), "an environment"), "name", "an environment"),
        author=optional(item, "user", "username"),
        created=created,
        started=started,
        link=optional(item, "deployable", "web_url"),
    )


def _patch(item: Mapping[str, Any]) -> FilePatch:
    new = text(item, "new_path", "a diff")
    old = optional(item, "old_path")
    return FilePatch(path=new, patch=optional(item, "diff"), renamed_from="" if old == new else old)


def _left_out(item: Mapping[str, Any]) -> bool:
    return item.get("too_large") is True or item.get("collapsed") is True

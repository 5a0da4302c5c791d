"""GitHub: deployments with what they brought; where none are recorded, releases and commits.

https://docs.github.com/en/rest/deployments, …/rest/commits/commits#compare-two-commits, …/rest/releases
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
from config.schema import GithubRepository, GithubSource

_STARTED = ("in_progress", "success", "failure", "error")
_EARLIER = 3
"""Earlier deployments that are looked at for the one that was live before."""
_FILES_IN_COMPARISON = 300
_COMMITS_IN_COMPARISON = 250


def github_changes(config: GithubSource, session: aiohttp.ClientSession, clock: Clock) -> ChangeSource:
    token = config.token.get_secret_value() if config.token is not None else ""
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    api = JsonApi(str(config.url), session, timeout=config.timeout, headers=headers, secrets=(token,))
    return ChangeSource(
        config.name,
        [_Repository(section, _site(api.address)) for section in config.repositories],
        api,
        clock,
        link=_site(api.address),
        outsider_writable=config.outsider_writable,
    )


def _site(api: str) -> str:
    return "https://github.com" if api == "https://api.github.com" else api.removesuffix("/api/v3")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    id: str
    sha: str
    ref: str
    environment: str
    author: str
    created: datetime
    updated: datetime

    @property
    def version(self) -> str:
        return self.ref if self.ref != self.sha else self.sha[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """``back``: the later of the two is an ancestor of the earlier."""

    commits: Sequence[Mapping[str, Any]]
    patches: Sequence[FilePatch]
    back: bool
    note: str


class _Repository:
    def __init__(self, config: GithubRepository, site: str) -> None:
        self.name = config.repository
        self._page = f"{site}/{config.repository}"
        self.service = config.service
        self._config = config
        self._path = f"/repos/{config.repository}"

    def command(self, window: Window) -> str:
        if self._config.environments:
            address = f"{self._path[1:]}/deployments?environment={quote(self._config.environments[0])}"
        else:
            address = f"{self._path[1:]}/deployments"
        return f"gh api {shlex.quote(address)}"

    async def changes(self, question: Question, window: Window) -> Found:
        found = Found()
        deployments: list[_Deployment] = []
        for environment in self._config.environments or ("",):
            try:
                deployments += await self._deployments(question, environment, window, found)
            except Refused as error:
                found.note(str(error))
        if not deployments and not found.notes:
            await self._undeployed(question, window, found)
            return found
        fetched: dict[str, Change] = {}
        for index, one in enumerate(deployments):
            if one.updated < window.start or one.created >= window.end:
                continue
            try:
                await self._deployed(question, one, deployments[index + 1 :], window, found, fetched)
            except Refused as error:
                found.note(f"deployment {one.id}: {error}")
                if question.left <= 0:
                    break
        return found

    async def _deployments(
        self, question: Question, environment: str, window: Window, found: Found
    ) -> list[_Deployment]:
        """Newest first, until well before the window."""
        params = [("per_page", "100"), *([("environment", environment)] if environment else [])]
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
        earlier: Sequence[_Deployment],
        window: Window,
        found: Found,
        fetched: dict[str, Change],
    ) -> None:
        at, state = await self._started(question, one)
        if at is None or not window.start <= at < window.end:
            return
        previous = await self._previous(question, one, earlier, found)
        comparison: _Comparison | None = None
        if previous is not None:
            try:
                comparison = await self._compare(question, previous.sha, one.sha)
            except Refused as error:
                found.note(f"what deployment {one.id} brought: {error}")
        back = comparison is not None and comparison.back
        verb = "rolled back" if back else "deployed"
        outcome = f" ({state})" if state in ("failure", "error", "in_progress") else ""
        change = made(
            identity=f"deployment-{one.id}",
            kind="rollback" if back else "deploy",
            at=at,
            service=self.service,
            title=f"{verb} {one.version} to {one.environment}{outcome}",
            author=one.author,
            version=one.version,
            before="" if previous is None else previous.sha,
            after=one.sha,
            link=f"{self._page}/deployments",
        )
        if comparison is None:
            found.changes.append(change)
            return
        patches = in_folders(self._config.paths, comparison.patches)
        if comparison.note:
            found.note(comparison.note)
        elif self._config.paths and not patches:
            return
        found.changes.append(await with_diff(change, patches))
        if not back:
            await self._commits(question, comparison.commits, at, found, fetched)

    async def _started(self, question: Question, one: _Deployment) -> tuple[datetime | None, str]:
        """When it began to take effect, and how it went; never, where it only waits."""
        reply = await question.get(f"{self._path}/deployments/{one.id}/statuses", [("per_page", "100")])
        statuses = [
            (moment(item, "created_at", "a deployment status"), text(item, "state", "a deployment status"))
            for item in listing(reply.data, "deployment statuses")
        ]
        if not statuses:
            return one.created, ""
        started = sorted(item for item in statuses if item[1] in _STARTED)
        return (started[0][0], started[-1][1]) if started else (None, "")

    async def _previous(
        self, question: Question, one: _Deployment, earlier: Sequence[_Deployment], found: Found
    ) -> _Deployment | None:
        before = [e for e in earlier if e.environment == one.environment and e.sha != one.sha]
        for candidate in before[:_EARLIER]:
            at, state = await self._started(question, candidate)
            if at is not None and state not in ("failure", "error"):
                return candidate
        if not before:
            found.note(f"deployment {one.id} has none before it to compare with")
            return None
        found.note(f"deployment {one.id} is compared with one that did not succeed")
        return before[0]

    async def _compare(self, question: Question, before: str, after: str) -> _Comparison:
        data = await self._comparison(question, before, after)
        back = data.get("status") == "behind"
        if back:
            # Three dots show what the later side has beyond the common ancestor: here nothing.
            data = await self._comparison(question, after, before)
        patches = _patches(data)
        commits = listing(data.get("commits"), "commits")
        notes = []
        if len(patches) >= _FILES_IN_COMPARISON:
            notes.append(f"{before[:12]}...{after[:12]}: only the first {len(patches)} files are known")
        total = data.get("total_commits")
        if isinstance(total, int) and total > len(commits):
            notes.append(f"{before[:12]}...{after[:12]}: {len(commits)} of {total} commits are known")
        return _Comparison(commits=commits, patches=patches, back=back, note="; ".join(notes))

    async def _comparison(self, question: Question, base: str, head: str) -> Mapping[str, Any]:
        path = f"{self._path}/compare/{quote(base, safe='')}...{quote(head, safe='')}"
        reply = await question.get(path, [("per_page", str(_COMMITS_IN_COMPARISON))])
        return mapping(reply.data, "a comparison")

    async def _commits(
        self,
        question: Question,
        commits: Sequence[Mapping[str, Any]],
        at: datetime | None,
        found: Found,
        fetched: dict[str, Change],
    ) -> None:
        """Each commit with its own diff. ``at``: when it took effect; None: when it was committed."""
        newest = list(reversed(commits))
        if len(newest) > MAX_DIFFS:
            found.note(f"only the newest {MAX_DIFFS} of {len(newest)} commits were looked at")
        for item in newest[:MAX_DIFFS]:
            sha = text(item, "sha", "a commit")
            change = self._commit(item, at)
            if sha in fetched:
                found.changes.append(replace(fetched[sha], at=change.at))
                continue
            try:
                reply = await question.get(f"{self._path}/commits/{quote(sha, safe='')}")
                patches = _patches(mapping(reply.data, "a commit"))
            except Refused as error:
                found.note(f"the diff of {sha[:12]}: {error}")
                if not self._config.paths:
                    found.changes.append(change)
                continue
            if not touches(self._config.paths, [p for one in patches for p in (one.path, one.renamed_from)]):
                continue
            fetched[sha] = await with_diff(change, in_folders(self._config.paths, patches))
            found.changes.append(fetched[sha])

    def _commit(self, item: Mapping[str, Any], at: datetime | None) -> Change:
        sha = text(item, "sha", "a commit")
        inner = mapping(item.get("commit"), "a commit")
        committed = optional_moment(inner, "committer", "date")
        when = at or committed
        if when is None:
            raise Malformed("answered with a commit without a readable date")
        return made(
            identity=sha,
            kind="commit",
            at=when,
            service=self.service,
            title=optional(inner, "message"),
            author=optional(item, "author", "login") or optional(inner, "author", "name"),
            version=sha[:12],
            link=optional(item, "html_url"),
        )

    async def _undeployed(self, question: Question, window: Window, found: Found) -> None:
        for part in (self._released, self._committed):
            try:
                await part(question, window, found)
            except Refused as error:
                found.note(str(error))

    async def _released(self, question: Question, window: Window, found: Found) -> None:
        reply = await question.get(f"{self._path}/releases", [("per_page", "50")])
        releases = sorted(
            (
                (moment(item, "published_at", "a release"), text(item, "tag_name", "a release"), item)
                for item in listing(reply.data, "releases")
                if item.get("draft") is not True
            ),
            key=lambda release: release[:2],
        )
        for (_, earlier, _), (at, tag, item) in zip([(None, "", {}), *releases], releases, strict=False):
            if not window.start <= at < window.end:
                continue
            change = made(
                identity=f"release-{tag}",
                kind="deploy",
                at=at,
                service=self.service,
                title=f"released {optional(item, 'name') or tag}",
                author=optional(item, "author", "login"),
                version=tag,
                before=earlier,
                after=tag,
                link=optional(item, "html_url"),
            )
            if not earlier:
                found.changes.append(change)
                continue
            try:
                comparison = await self._compare(question, earlier, tag)
            except Refused as error:
                found.note(f"what release {tag} brought: {error}")
                found.changes.append(change)
                continue
            if comparison.note:
                found.note(comparison.note)
            patches = in_folders(self._config.paths, comparison.patches)
            if patches or not self._config.paths or comparison.note:
                found.changes.append(await with_diff(change, patches))

    async def _committed(self, question: Question, window: Window, found: Found) -> None:
        branch = self._config.branch
        params: Params = [
            ("since", _second(window.start)),
            ("until", _second(window.end + timedelta(seconds=1))),
            ("per_page", "100"),
            *([("sha", branch)] if branch else []),
            *([("path", self._config.paths[0])] if len(self._config.paths) == 1 else []),
        ]
        reply = await question.get(f"{self._path}/commits", params)
        commits = listing(reply.data, "commits")
        if reply.following is not None:
            found.note(f"only the newest {len(commits)} commits were looked at")
        await self._commits(question, list(reversed(commits)), None, found, {})


def _second(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _deployment(item: Mapping[str, Any]) -> _Deployment:
    what = "a deployment"
    created = moment(item, "created_at", what)
    number = text(item, "id", what)
    if not (number.isascii() and number.isdigit()):
        raise Malformed("answered with a deployment whose id is no number")
    return _Deployment(
        id=number,
        sha=text(item, "sha", what),
        ref=text(item, "ref", what),
        environment=text(item, "environment", what),
        author=optional(item, "creator", "login"),
        created=created,
        updated=optional_moment(item, "updated_at") or created,
    )


def _patches(holder: Mapping[str, Any]) -> list[FilePatch]:
    return [
        FilePatch(
            path=text(item, "filename", "a file"),
            patch=optional(item, "patch"),
            renamed_from=optional(item, "previous_filename"),
        )
        for item in listing(holder.get("files"), "files")
    ]

"""What was changed, one candidate per change: deployments joined to the commits they brought."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.domain.evidence import Change
from investigators.changes.diffs import Diff, parse

_SHA = re.compile(r"\b[0-9a-f]{7,40}\b")
_SHARED = re.compile(
    r"(?:^|/)(?:pkg|libs?|common|shared|internal|platform|core|vendor|schemas?|protos?"
    r"|packages|modules|sdk|infra(?:structure)?|terraform|network|global|base)/"
    r"|^(?:go\.(?:mod|sum)|package(?:-lock)?\.json|pom\.xml|build\.gradle|requirements[^/]*\.txt"
    r"|pyproject\.toml|Cargo\.(?:toml|lock)|Gemfile(?:\.lock)?|yarn\.lock|poetry\.lock)$",
    re.I,
)
_ELSEWHERE = re.compile(
    r"(?:^|/)(?:staging|stage|dev|development|sandbox|qa|uat|preview)/"
    r"|[-._](?:staging|sandbox|qa|uat|preview|dev)\.[A-Za-z]+$",
    re.I,
)
_AFFIX = re.compile(
    r"^(?:svc|service|app|srv)[-_]|[-_]?(?:services?|svc|srv|server|api|app|deployment|worker|\d+)$", re.I
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A change with what it did. ``services`` it belongs to, as far as its deployment or its paths tell;
    ``shared`` code that many link; ``at`` when it took effect: its deployment, else a later one that can have
    carried it, else its own time (``carried`` False: histories hold deployments, but none that brought it).
    """

    change: Change
    diff: Diff
    at: datetime
    services: frozenset[str]
    shared: bool
    deployed: bool
    carried: bool
    elsewhere: bool

    @property
    def text(self) -> str:
        return " ".join((self.change.title, *self.change.files))


def candidates(
    changes: Sequence[Change], known: Iterable[str], environment: str = "", until: datetime | None = None
) -> tuple[Candidate, ...]:
    """One per change, oldest first. A deployment without a diff that names another change (by the same id, or
    by the commit in its version or values) lends it its time and service and is none itself. ``until``: when
    the fault began; a deployment after it did not carry anything that matters."""
    names = {short(name): name for name in known if short(name)}
    joined = _joined(changes)
    deployments = sorted((one for one, own in joined if own), key=lambda one: one.at)
    found = []
    for change, own in joined:
        diff = parse(change.diff or _values(change), change.files)
        services = frozenset((change.service,)) if change.service else frozenset(_owners(diff.files, names))
        shared = any(_SHARED.search(file) for file in diff.files) and not _owners(diff.files, names)
        at, carried = change.at, own or change.kind != "commit"
        if not carried:
            carriers = [
                one
                for one in deployments
                if one.at >= change.at
                and (until is None or one.at <= until + timedelta(minutes=1))
                and (shared or not services or one.service in services or not one.service)
            ]
            if carriers:
                at, carried = carriers[0].at, True
            elif not deployments:
                carried = True
        found.append(
            Candidate(
                change=change,
                diff=diff,
                at=at,
                services=services,
                shared=shared,
                deployed=own,
                carried=carried,
                elsewhere=_is_elsewhere(diff.files, environment),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.at, one.change.id)))


def short(name: str) -> str:
    """A service's name as paths have it: without what only says that it is a service."""
    before = ""
    while before != name:
        before, name = name, _AFFIX.sub("", name)
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _owners(files: Iterable[str], names: dict[str, str]) -> set[str]:
    found = set()
    for file in files:
        for part in file.split("/")[:-1]:
            if name := names.get(short(part)):
                found.add(name)
                break
        else:
            stem = file.rsplit("/", 1)[-1].split(".")[0]
            if name := names.get(short(stem)):
                found.add(name)
    return found


def _joined(changes: Sequence[Change]) -> list[tuple[Change, bool]]:
    """Each change once, with whether it was deployed by itself."""
    merged: dict[str, Change] = {}
    deployed: set[str] = set()
    bare: list[Change] = []
    for change in sorted(changes, key=lambda one: one.at):
        if change.kind in ("deploy", "rollback") and not change.diff and not change.files:
            bare.append(change)
            continue
        before = merged.get(change.id)
        merged[change.id] = change if before is None or not before.diff else before
        if change.kind in ("deploy", "rollback"):
            deployed.add(change.id)
    alone: list[Change] = []
    for deploy in bare:
        told = " ".join((deploy.id, deploy.version, deploy.after, deploy.title))
        brought = [
            key
            for key in merged
            if key == deploy.id
            or any(key.startswith(sha) or sha.startswith(key) for sha in _SHA.findall(told))
        ]
        for key in brought:
            if key not in deployed:
                deployed.add(key)
                merged[key] = replace(
                    merged[key],
                    at=deploy.at,
                    service=merged[key].service or deploy.service,
                    version=merged[key].version or deploy.version,
                )
        if not brought:
            alone.append(deploy)
    return [(one, one.id in deployed) for one in merged.values()] + [(one, True) for one in alone]


def _values(change: Change) -> str:
    """A flag or a scaling has no diff, but its two values are one."""
    if not change.before and not change.after:
        return ""
    named = re.match(r"[\w.\-]+", change.title or change.id)
    name = named[0] if named else "value"
    return f"-{name}: {change.before}\n+{name}: {change.after}\n"


def _is_elsewhere(files: Iterable[str], environment: str) -> bool:
    """Whether every file belongs to an environment that is not the incident's."""
    every = list(files)
    if not every or (environment and _ELSEWHERE.search(f"{environment.lower()}/")):
        return False
    return all(_ELSEWHERE.search(file) for file in every)

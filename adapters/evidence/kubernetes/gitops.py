"""What Argo CD and Flux applied, as changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapters.evidence.kubernetes.look import Object, at, condition, each, moment, name, namespace
from bot.domain.evidence import Change

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout", "CronJob", "Job")
_INVENTORY = re.compile(r"(?P<namespace>[^_]*)_(?P<name>[^_]+)_(?P<group>[^_]*)_(?P<kind>[^_]+)")


def argo_syncs(application: Object) -> Iterator[Change]:
    """One change per sync that an Application remembers, and the running or failed one if there is such."""
    history = sorted(each(application, "status", "history"), key=lambda one: str(one.get("deployedAt", "")))
    seen: list[str] = []
    for entry in history:
        when = moment(entry.get("deployedAt"))
        revision = _argo_revision(entry)
        if when is None or not revision:
            continue
        before = seen[-1] if seen else ""
        if revision == before:
            what = f"synced {_short(revision)} again"
        else:
            what = f"synced {_short(revision)}" + (f" after {_short(before)}" if before else "")
        yield Change(
            id=f"application/{namespace(application)}/{name(application)}#{entry.get('id')}",
            kind="rollback" if revision in seen and revision != before else "deploy",
            at=when,
            service=name(application),
            title=f"Argo CD: {name(application)} {what}",
            author=_initiator(entry),
            files=_argo_paths(entry),
            version=revision,
            before=before,
            after=revision,
        )
        seen.append(revision)
    yield from _operation(application, seen[-1] if seen else "")


def argo_services(application: Object) -> frozenset[str]:
    """The workloads and Services an Application manages, and its own name."""
    managed = {
        str(one.get("name"))
        for one in each(application, "status", "resources")
        if one.get("kind") in (*_WORKLOADS, "Service")
    }
    return frozenset([name(application), *managed])


def _operation(application: Object, before: str) -> Iterator[Change]:
    """A sync that failed or still runs stands in no history, but has changed things."""
    state = at(application, "status", "operationState", default={})
    phase = str(at(state, "phase", default=""))
    when = moment(at(state, "startedAt"))
    if phase not in ("Failed", "Error", "Running") or when is None:
        return
    revision = _argo_revision(at(state, "syncResult", default={}))
    message = str(at(state, "message", default=""))
    yield Change(
        id=f"application/{namespace(application)}/{name(application)}@{at(state, 'startedAt')}",
        kind="deploy",
        at=when,
        service=name(application),
        title=f"Argo CD: sync of {name(application)} to {_short(revision) or '?'} {phase.lower()}: {message}",
        author=_initiator(at(state, "operation", default={})),
        version=revision,
        before=before,
        after=revision,
    )


def _argo_revision(entry: Object) -> str:
    several = entry.get("revisions")
    if isinstance(several, list) and several:
        return ",".join(str(one) for one in several)
    return str(entry.get("revision") or "")


def _argo_paths(entry: Object) -> tuple[str, ...]:
    sources = [at(entry, "source", default={}), *each(entry, "sources")]
    return tuple(
        str(one.get("path") or one.get("chart"))
        for one in sources
        if isinstance(one, Mapping) and (one.get("path") or one.get("chart"))
    )


def _initiator(entry: Object) -> str:
    by = at(entry, "initiatedBy", default={})
    return str(at(by, "username") or ("automatic sync" if at(by, "automated") is True else ""))


def flux_kustomizations(kustomization: Object, sources: Sequence[Object]) -> Iterator[Change]:
    """One change per applied state that is remembered (``status.history``, Flux 2.7), else the last one.

    Without a history its time is when the source fetched that revision; failing that, when the Kustomization
    last became ready or unready, which can be later.
    """
    ref = f"kustomization/{namespace(kustomization)}/{name(kustomization)}"
    path = str(at(kustomization, "spec", "path", default=""))
    history = [one for one in each(kustomization, "status", "history") if moment(one.get("firstReconciled"))]
    if history:
        before = ""
        for entry in sorted(history, key=lambda one: str(one["firstReconciled"])):
            revision = str(at(entry, "metadata", "revision", default=entry.get("digest", "")))
            status = str(entry.get("lastReconciledStatus", ""))
            yield _applied(ref, kustomization, entry["firstReconciled"], revision, before, status, path)
            before = revision
        return
    revision = str(at(kustomization, "status", "lastAppliedRevision", default=""))
    ready = condition(kustomization, "Ready")
    when = _fetched(kustomization, sources, revision) or ready.get("lastTransitionTime")
    if revision and when:
        yield _applied(ref, kustomization, when, revision, "", str(ready.get("reason", "")), path)
    attempted = str(at(kustomization, "status", "lastAttemptedRevision", default=""))
    if attempted and attempted != revision and ready.get("status") == "False":
        when = _fetched(kustomization, sources, attempted) or ready.get("lastTransitionTime")
        if when:
            why = f"{ready.get('reason', '')}: {ready.get('message', '')}"
            yield _applied(ref, kustomization, when, attempted, revision, why, path)


def flux_services(kustomization: Object) -> frozenset[str]:
    """The workloads and Services in the inventory of a Kustomization, and its own name."""
    found = [name(kustomization)]
    for entry in each(kustomization, "status", "inventory", "entries"):
        match = _INVENTORY.fullmatch(str(entry.get("id", "")))
        if match is not None and match["kind"] in (*_WORKLOADS, "Service"):
            found.append(match["name"])
    return frozenset(found)


def _fetched(kustomization: Object, sources: Iterable[Object], revision: str) -> str | None:
    wanted = at(kustomization, "spec", "sourceRef", default={})
    home = str(wanted.get("namespace") or namespace(kustomization))
    for source in sources:
        if (source.get("kind"), namespace(source), name(source)) == (
            wanted.get("kind"),
            home,
            wanted.get("name"),
        ) and at(source, "status", "artifact", "revision") == revision:
            fetched = at(source, "status", "artifact", "lastUpdateTime")
            return None if fetched is None else str(fetched)
    return None


def _applied(
    ref: str, document: Object, when: Any, revision: str, before: str, status: str, path: str
) -> Change:
    moment_ = moment(when)
    assert moment_ is not None
    good = not status or "Succeeded" in status
    outcome = f"applied {_short(revision)}" if good else f"failed at {_short(revision)}: {status}"
    return Change(
        # The same revision can come again with other values or another end.
        id=f"{ref}@{revision}/{when}",
        kind="deploy",
        at=moment_,
        service=name(document),
        title=f"Flux: {name(document)} {outcome}",
        files=(path,) if path else (),
        version=revision,
        before=before,
        after=revision,
    )


def helm_releases(release: Object) -> Iterator[Change]:
    """One change per release that a HelmRelease remembers."""
    ref = f"helmrelease/{namespace(release)}/{name(release)}"
    history = [one for one in each(release, "status", "history") if moment(one.get("lastDeployed"))]
    before: Object = {}
    for entry in sorted(history, key=lambda one: int(one.get("version") or 0)):
        when = moment(entry["lastDeployed"])
        assert when is not None
        chart, was = _chart(entry), _chart(before)
        if not before:
            what = f"released {chart}"
        elif chart != was:
            what = f"{was} → {chart}"
        elif entry.get("configDigest") != before.get("configDigest"):
            what = f"{chart} with other values"
        else:
            what = f"{chart} again"
        status = str(entry.get("status", ""))
        failed = "" if status in ("deployed", "superseded") else f", {status}"
        yield Change(
            id=f"{ref}@{entry.get('version')}",
            kind="config" if before and chart == was else "deploy",
            at=when,
            service=name(release),
            title=f"Flux: {name(release)} {what}{failed}",
            files=(str(entry.get("chartName", "")),),
            version=chart,
            before=was,
            after=chart,
        )
        before = entry


def helm_services(release: Object) -> frozenset[str]:
    """A HelmRelease does not list what it made: its own name, and that of the release."""
    made = at(release, "spec", "releaseName") or at(release, "status", "history", 0, "name")
    return frozenset([name(release), *([str(made)] if made else [])])


def _chart(entry: Object) -> str:
    if not entry:
        return ""
    app = f" (app {entry['appVersion']})" if entry.get("appVersion") else ""
    return f"{entry.get('chartName', '?')} {entry.get('chartVersion', '?')}{app}"


def _short(revision: str) -> str:
    """A commit id as people write it; ``main@sha1:…`` keeps its branch."""
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{24,56}\b", r"\1", revision)

"""Rollouts, scalings and edited ConfigMaps as changes, from revisions and from who last wrote which field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.evidence.kubernetes.look import Object, at, created, each, moment, name, namespace, texts
from adapters.evidence.kubernetes.template import images, only_restarted, template_diff, version_of
from bot.domain.evidence import Change

_REVISION = ("deployment.kubernetes.io/revision", "rollout.argoproj.io/revision")
_CAUSE = "kubernetes.io/change-cause"
APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app", "app.kubernetes.io/instance", "service", "name")
_CONTROLLERS = ("kube-controller-manager", "kubelet", "kube-scheduler")


def rollouts(workload: Object, history: Sequence[Object]) -> Iterator[Change]:
    """One change per kept revision of a Deployment, Rollout, StatefulSet or DaemonSet.

    ``history`` are its ReplicaSets or ControllerRevisions. A revision that became the current one again (a
    rollback) counts from when the workload's template was last written, not from when it was first made.
    """
    revisions = sorted(
        ((number, one) for one in history if (number := _number(one)) is not None), key=lambda pair: pair[0]
    )
    written, author = _written(workload, "f:template")
    for index, (number, revision) in enumerate(revisions):
        made = created(revision)
        newest = index == len(revisions) - 1
        before = revisions[index - 1][1] if index else None
        again = newest and before is not None and made is not None and made < (created(before) or made)
        at_ = written if again and written is not None else made
        if at_ is None:
            continue
        yield _change(workload, number, revision, before, at_, author if newest else "", again=again)


def scaled(workload: Object) -> Iterator[Change]:
    """The last time the number of replicas was set through the scale subresource, by a person or an
    autoscaler. What it was before, Kubernetes does not keep."""
    times = [
        (when, str(entry.get("manager", "")))
        for entry in each(workload, "metadata", "managedFields")
        if entry.get("subresource") == "scale" and (when := moment(entry.get("time"))) is not None
    ]
    if not times:
        return
    when, by = max(times)
    replicas = str(at(workload, "spec", "replicas", default=""))
    yield Change(
        id=f"{_ref(workload)}:scale@{when:%Y%m%dT%H%M%SZ}",
        kind="scale",
        at=when,
        service=name(workload),
        title=f"{_ref(workload)} scaled to {replicas} by {_who(by)}",
        author=by,
        files=(_ref(workload),),
        after=replicas,
    )


def edited(config_map: Object, users: Sequence[Object]) -> Iterator[Change]:
    """The last time the data of a ConfigMap was written, for each workload that uses it. Only metadata is
    read: the names of the keys, and never what is in them."""
    written, author = _written(config_map, None)
    made = created(config_map)
    if written is None:
        return
    keys = sorted(_data_keys(config_map))
    fresh = made is not None and abs((written - made).total_seconds()) < 1
    title = f"{_ref(config_map)} {'created' if fresh else 'written'} by {_who(author)}"
    if keys:
        title += f" (keys {', '.join(keys[:10])})"
    for user in users:
        yield Change(
            id=f"{_ref(config_map)}@{written:%Y%m%dT%H%M%SZ}:{_ref(user)}",
            kind="config",
            at=written,
            service=name(user),
            title=title,
            author=author,
            files=(_ref(config_map),),
        )


def uses_config_map(workload: Object, config_map: str) -> bool:
    """Whether the pod template takes variables or files from it."""
    spec = at(workload, "spec", "template", "spec", default={})
    for volume in each(spec, "volumes"):
        if at(volume, "configMap", "name") == config_map:
            return True
        if any(at(one, "configMap", "name") == config_map for one in each(volume, "projected", "sources")):
            return True
    for container in each(spec, "containers") + each(spec, "initContainers"):
        if any(at(one, "configMapRef", "name") == config_map for one in each(container, "envFrom")):
            return True
        for one in each(container, "env"):
            if at(one, "valueFrom", "configMapKeyRef", "name") == config_map:
                return True
    return False


def known_as(workload: Object) -> frozenset[str]:
    """The names under which people, metrics and traces may know a workload."""
    labels = [
        texts(workload, "metadata", "labels"),
        texts(workload, "spec", "template", "metadata", "labels"),
    ]
    return frozenset([name(workload), *(one[key] for one in labels for key in APP_LABELS if one.get(key))])


def owned(workload: Object, candidates: Iterable[Object]) -> list[Object]:
    """Those that the workload controls."""
    uid = at(workload, "metadata", "uid")
    return [
        one
        for one in candidates
        if any(ref.get("uid") == uid for ref in each(one, "metadata", "ownerReferences"))
    ]


def _change(
    workload: Object,
    number: int,
    revision: Object,
    before: Object | None,
    at_: datetime,
    author: str,
    *,
    again: bool,
) -> Change:
    ref = _ref(workload)
    now_template = _template(revision)
    new = images(now_template)
    old: Mapping[str, str] = {} if before is None else images(_template(before))
    changed = {key for key in new if new[key] != old.get(key)} | {key for key in old if key not in new}
    lines = [] if before is None else template_diff(_template(before), now_template)
    cause = texts(revision, "metadata", "annotations").get(_CAUSE, "")
    if before is None:
        what = "created" if number == 1 else f"revision {number}; the one before is not kept"
        kind = "deploy"
    elif changed:
        what = f"revision {number}: {version_of(_only(old, changed))} → {version_of(_only(new, changed))}"
        kind = "deploy"
    elif only_restarted(lines):
        what, kind = f"revision {number}: restarted", "deploy"
    else:
        what, kind = f"revision {number}: template changed, images as before", "config"
    return Change(
        id=f"{ref}@{number}",
        kind="rollback" if again else kind,
        at=at_,
        service=name(workload),
        title=f"{ref} {what}" + (f" ({cause})" if cause else ""),
        author=author,
        files=(ref,),
        diff="\n".join(lines),
        version=version_of(new),
        before=version_of(_only(old, changed)) if before is not None else "",
        after=version_of(_only(new, changed)) if before is not None else version_of(new),
    )


def _only(mapping: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    return {key: mapping[key] for key in keys if key in mapping}


def _template(revision: Object) -> Any:
    """Of a ReplicaSet, or of a ControllerRevision, which keeps it as a patch."""
    return at(revision, "spec", "template") or at(revision, "data", "spec", "template", default={})


def _number(revision: Object) -> int | None:
    number = revision.get("revision")
    if number is None:
        notes = texts(revision, "metadata", "annotations")
        number = next((notes[key] for key in _REVISION if key in notes), None)
    try:
        return None if number is None else int(number)
    except (TypeError, ValueError):
        return None


def _written(document: Object, part: str | None) -> tuple[datetime | None, str]:
    """When and by whom a part of the spec (None: the data of a ConfigMap) was last written, as the API server
    recorded it. Controllers, which only follow, do not count."""
    latest: datetime | None = None
    author = ""
    for entry in each(document, "metadata", "managedFields"):
        when, by = moment(entry.get("time")), str(entry.get("manager", ""))
        fields = at(entry, "fieldsV1", default={})
        wrote = (
            any(key in fields for key in ("f:data", "f:binaryData"))
            if part is None
            else at(fields, "f:spec", part) is not None
        )
        if wrote and when is not None and by not in _CONTROLLERS and (latest is None or when > latest):
            latest, author = when, by
    return latest, author


def _data_keys(config_map: Object) -> set[str]:
    return {
        key[2:]
        for entry in each(config_map, "metadata", "managedFields")
        for part in ("f:data", "f:binaryData")
        for key in at(entry, "fieldsV1", part, default={})
        if key.startswith("f:")
    }


def _ref(document: Object) -> str:
    return f"{str(document.get('kind', '')).lower()}/{namespace(document)}/{name(document)}"


def _who(manager: str) -> str:
    return "an autoscaler or controller" if manager in _CONTROLLERS else manager or "somebody"

"""Certificates that ran out, and clocks that make good ones look bad."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bot.domain.evidence import Fact
from investigators.facts.charge import Subject, node
from investigators.facts.platform.charging import complaints
from investigators.facts.platform.reading import mapping, objects
from investigators.facts.platform.scene import Scene, cite, clip, listed
from investigators.facts.platform.symptoms import Symptom
from investigators.world.cluster import Thing, moment

EXPIRED, EXPIRING, SKEW = "certificate_expiry", "certificate_expiring", "clock_skew"
_SOON = timedelta(days=7)
_NOT_AFTER = (
    "probe_ssl_earliest_cert_expiry",
    "x509_cert_not_after",
    "certmanager_certificate_expiration_timestamp_seconds",
    "nginx_ingress_controller_ssl_expire_time_seconds",
    "ssl_cert_not_after",
)
_CLIENT = re.compile(r"client SSL certificate verify error.*?client: (?P<host>[\d.]+)")
_AFTER = re.compile(r"is after (\d{4}-\d\d-\d\dT[\d:]+Z)|NotAfter: ([\w :]+\d{4})")


def check(scene: Scene) -> list[Fact]:
    facts = [*_from_logs(scene), *_from_metrics(scene), *_from_objects(scene), *_clocks(scene)]
    return [*facts, *scene.silent_logs((EXPIRED, SKEW), "certificate.logs", facts)]


def _from_logs(scene: Scene) -> Iterator[Fact]:
    """A client that refuses the certificate it is shown blames the one it calls; an alert from the other
    side blames the client's own."""
    refused_us = [one for one in scene.symptoms.of("peer_certificate_refused") if one.caller]
    for caller in scene.callers(refused_us):
        own = [one for one in refused_us if one.caller == caller]
        to = f" to {own[-1].callee.name}" if own[-1].callee else ""
        detail = f"the certificate that {caller} shows{to} has expired: {clip(own[-1].line.text)}"
        yield scene.subject_named(caller).found(EXPIRED, 0.85, cite(own), "certificate.client", detail)
    shown: list[Symptom] = []
    for one in scene.symptoms.of(EXPIRED):
        match = _CLIENT.search(one.line.text)
        client = scene.names.resolve(match["host"]) if match else None
        if client is not None:
            detail = f"{one.caller} refuses the expired certificate of its client {client.name}"
            subject = scene.subject(client)
            yield subject.found(EXPIRED, 0.85, cite([one]), "certificate.client", detail)
        else:
            shown.append(one)
    for found in complaints(scene, shown):
        when = next((m for one in found.symptoms if (m := _AFTER.search(one.line.text))), None)
        since = f" (it ended {when[1] or when[2]})" if when else ""
        who, said = listed(found.callers), clip(found.last.line.text)
        if found.callee is not None:
            detail = f"the certificate of {found.callee.name} has expired{since}, {who} refuses it: {said}"
            subject = scene.subject(found.callee)
            confidence = 0.9 + 0.05 * (len(found.callers) > 1)
            yield subject.found(EXPIRED, confidence, cite(found.symptoms), "certificate.server", detail)
            continue
        for caller in found.callers:
            detail = f"{caller} meets an expired certificate{since}: {said}"
            subject = scene.subject_named(caller)
            yield subject.found(EXPIRED, 0.7, cite(found.symptoms), "certificate.unknown_side", detail)


def _from_metrics(scene: Scene) -> Iterator[Fact]:
    for metric in _NOT_AFTER:
        for track in scene.tracks.get(metric, ()):
            if not track.series.samples or track.series.samples[-1].value <= 0:
                continue
            until = datetime.fromtimestamp(track.series.samples[-1].value, UTC)
            labels = track.series.labels
            what = next(
                (labels[key] for key in ("host", "name", "subject_CN", "instance") if labels.get(key)), ""
            )
            name = track.object or what
            if name:
                yield from _judged(scene, scene.subject_named(name), what or name, until, (track,))


def _judged(
    scene: Scene, subject: Subject, what: str, until: datetime, seen: tuple[object, ...]
) -> Iterator[Fact]:
    cited = tuple(one.evidence for one in seen if hasattr(one, "evidence"))
    left = until - scene.world.now
    day = until.date().isoformat()
    if left <= timedelta(0):
        detail = f"the certificate {what} ended on {day}"
        yield subject.found(EXPIRED, 0.95, cited, "certificate.not_after", detail)
    elif left <= _SOON:
        detail = f"the certificate {what} ends on {day}, in {left.days} days"
        yield subject.found(EXPIRING, 0.9, cited, "certificate.not_after", detail)


def _from_objects(scene: Scene) -> Iterator[Fact]:
    for thing in scene.cluster.of("Certificate"):
        until = moment(thing.at("status", "notAfter"))
        secret = str(thing.at("spec", "secretName", default=""))
        for subject in _users(scene, thing.namespace, secret) or [scene.subject_named(thing.name)]:
            if until is not None:
                yield from _judged(scene, subject, f"{thing.name} (Secret {secret})", until, (thing,))
            for condition in thing.items("status", "conditions"):
                issuing = condition.get("type") == "Ready" and condition.get("status") == "False"
                if issuing and until is None:
                    detail = f"Certificate {thing.name} was never issued: {condition.get('message', '')}"
                    kind = "certificate_not_issued"
                    yield subject.found(kind, 0.85, (thing.evidence,), "certificate.issued", detail)


def _users(scene: Scene, namespace: str, secret: str) -> list[Subject]:
    """Who serves with a TLS Secret: the workloads that mount it, the backends of Ingresses that name it."""
    found: dict[str, Subject] = {}
    for workload in scene.layout.workloads:
        volumes = workload.thing.items("spec", "template", "spec", "volumes")
        names = [mapping(one.get("secret")).get("secretName") for one in volumes]
        if workload.namespace == namespace and secret in names:
            found[workload.name] = scene.subject_named(workload.name)
    for ingress in scene.cluster.of("Ingress", namespace):
        if secret in [one.get("secretName") for one in ingress.items("spec", "tls")]:
            for name in _backends(ingress):
                service = scene.layout.services.get((namespace, name))
                if service is not None:
                    callee = scene.names.called(service)
                    found[callee.name] = scene.subject(callee)
    return list(found.values())


def _backends(ingress: Thing) -> list[str]:
    return [
        str(mapping(mapping(path.get("backend")).get("service")).get("name", ""))
        for rule in ingress.items("spec", "rules")
        for path in objects(mapping(rule.get("http")).get("paths"))
    ]


def _clocks(scene: Scene) -> Iterator[Fact]:
    for track in scene.tracks.get("node_timex_offset_seconds", ()):
        late = [one.value for one in track.series.samples if scene.current(one.at)]
        if late and abs(late[-1]) >= 0.5:
            detail = f"the clock of {track.object} is {abs(late[-1]):.1f} s off"
            yield node(track.object).found(SKEW, 0.92, (track.evidence,), "clock.offset", detail)
    told = scene.symptoms.of(SKEW)
    if not told:
        return
    callers = scene.callers(told)
    nodes = {pod.node for name in callers for pod in scene.layout.pods_of(name) if pod.node}
    named = {one.line.node for one in told if one.line.node}
    detail = f"{listed(callers)}: {clip(told[-1].line.text)}"
    on = named or nodes
    everywhere = {pod.node for pod in scene.layout.pods if pod.node}
    if len(on) == 1 and len(everywhere) > 1 and (len(callers) > 1 or named):
        subject = node(next(iter(on)))
        yield subject.found(SKEW, 0.75, cite(told), "clock.logs", f"only on {subject.name}: {detail}")
        return
    for caller in callers:
        subject = scene.subject_named(caller)
        own = [one for one in told if one.caller == caller]
        yield subject.found(SKEW, 0.65, cite(own), "clock.logs", detail)

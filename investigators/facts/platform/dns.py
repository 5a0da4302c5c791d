"""Name resolution: one name that is wrong, or a resolver that fails for everybody."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.evidence import Fact
from investigators.facts.charge import service
from investigators.facts.platform.layout import PodView
from investigators.facts.platform.scene import Scene, cite, listed

KIND = "dns_failure"
_RESOLVER = ("kube-dns", "coredns", "node-local-dns")


def check(scene: Scene) -> list[Fact]:
    facts = [*_resolver_pods(scene), *_lookups(scene), *_rcodes(scene)]
    hit = {name for name in scene.services if any(_hits(scene, name))}
    quiet = [
        fact
        for fact in scene.silent_logs((KIND,), "dns.lookups", facts)
        if fact.subject not in hit and fact.subject not in {one.subject for one in facts}
    ]
    return [*facts, *quiet]


def _hits(scene: Scene, name: str) -> Iterator[bool]:
    for one in scene.symptoms.of("dns_server_failed", "dns_timeout", "dns_unknown_name"):
        if one.caller == name:
            yield True


def _pods(scene: Scene) -> list[PodView]:
    return [
        pod
        for pod in scene.layout.pods
        if pod.labels.get("k8s-app") in _RESOLVER or pod.labels.get("app.kubernetes.io/name") == "coredns"
    ]


def resolver_name(scene: Scene) -> str:
    """What the cluster's resolver is called: its workload's name, else coredns."""
    found = [pod.service for pod in _pods(scene)]
    workloads = [one.name for one in scene.layout.workloads if one.labels.get("k8s-app") == "kube-dns"]
    return next(iter((*workloads, *found)), "coredns")


def _resolver_pods(scene: Scene) -> Iterator[Fact]:
    if not scene.cluster.knows("Pod"):
        return
    pods = [pod for pod in _pods(scene) if pod.labels.get("k8s-app") != "node-local-dns"]
    workload = next((one for one in scene.layout.workloads if one.labels.get("k8s-app") == "kube-dns"), None)
    if (not pods and workload is None) or any(pod.ready and pod.live for pod in pods):
        return
    state = f"none of its {len(pods)} pods is ready" if pods else "it has no pod"
    if workload is not None and workload.wanted == 0:
        state = "it was scaled to 0 replicas"
    cited = scene.cluster.looked("Pod", "Deployment")
    detail = f"the cluster's resolver answers nobody: {state}"
    yield service(resolver_name(scene)).found(KIND, 0.97, cited, "dns.resolver", detail)


def _lookups(scene: Scene) -> Iterator[Fact]:
    """Lookups that failed for want of an answer; many callers or many names mean the resolver."""
    failed = scene.symptoms.of("dns_server_failed", "dns_timeout")
    own = {resolver_name(scene), *_RESOLVER}
    unknown = [one for one in scene.symptoms.of("dns_unknown_name") if _exists(scene, one.host, one.caller)]
    told = [one for one in (*failed, *unknown) if one.caller not in own]
    if not told:
        yield from _resolver_log(scene, own)
        return
    callers = scene.callers(told)
    hosts = {one.host for one in told if one.host}
    outside = hosts and not any(scene.names.split(host, "") for host in hosts)
    how = "time out" if all(one.kind == "dns_timeout" for one in told) else "fail"
    if len(hosts) == 1 and outside:
        host = next(iter(hosts))
        callee = scene.names.resolve(host)
        if callee is not None:
            detail = f"lookups of {host} alone {how} at {listed(callers)}"
            yield scene.subject(callee).found(KIND, 0.75, cite(told), "dns.name", detail)
        return
    detail = f"lookups of {listed(sorted(hosts)) or 'names'} {how} at {listed(callers)}"
    if len(callers) > 1 or len(hosts) > 1:
        confidence = 0.9 if len(callers) > 2 else 0.8
        yield service(resolver_name(scene)).found(KIND, confidence, cite(told), "dns.lookups", detail)
    else:
        for caller in callers:
            yield service(caller).found(KIND, 0.6, cite(told), "dns.lookups", detail)


def _exists(scene: Scene, host: str, caller: str) -> bool:
    """Whether a name that was said not to exist is a Service: then the resolver is wrong."""
    space = next((pod.namespace for pod in scene.layout.pods_of(caller)), "")
    callee = scene.names.resolve(host, space) if host else None
    return callee is not None and callee.service is not None and callee.kind != "external"


def _resolver_log(scene: Scene, own: set[str]) -> Iterator[Fact]:
    """The resolver's own complaints, such as an upstream that does not answer or a loop."""
    for name in sorted(own):
        bad = [
            line
            for line in scene.world.lines_of(name)
            if scene.current(line.at) and ("[ERROR] plugin/" in line.text or "[FATAL]" in line.text)
        ]
        if bad:
            evidence = tuple({line.evidence.id: line.evidence for line in bad}.values())
            fatal = any("[FATAL]" in line.text for line in bad)
            detail = f"{name} reports {len(bad)} errors, such as: {' '.join(bad[-1].text.split())[:160]}"
            yield service(name).found(KIND, 0.9 if fatal else 0.55, evidence, "dns.resolver_log", detail)


def _rcodes(scene: Scene) -> Iterator[Fact]:
    """SERVFAIL answers counted by the resolver itself."""
    bad = total = 0.0
    cited = {}
    for name in ("coredns_dns_responses_total", "coredns_dns_response_rcode_count_total"):
        for track in scene.tracks.get(name, ()):
            samples = [one for one in track.series.samples if scene.current(one.at)]
            if len(samples) < 2:
                continue
            grown = max(0.0, samples[-1].value - samples[0].value)
            total += grown
            if track.series.labels.get("rcode") == "SERVFAIL":
                bad += grown
                cited[track.evidence.id] = track.evidence
    if total and bad / total >= 0.1 and bad >= 5:
        detail = f"{bad / total:.0%} of the resolver's answers are SERVFAIL"
        yield service(resolver_name(scene)).found(KIND, 0.85, tuple(cited.values()), "dns.rcode", detail)

"""Networks that lose or delay packets: by the counters of nodes and pods, by probes, and by the time that
is lost between a client's span and its server's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bot.domain.evidence import Fact, TraceSpan
from investigators.facts.charge import Subject, node, service
from investigators.facts.platform.levels import levels
from investigators.facts.platform.scene import Scene, listed
from investigators.world.world import Track

DELAY, LOSS = "network_delay", "packet_loss"
_COUNTERS = re.compile(
    r"\A(?:node_network_(?:receive|transmit)_(?:drop|errs)_total|"
    r"container_network_(?:receive|transmit)_(?:packets_dropped|errors)_total)\Z"
)
_VIRTUAL = re.compile(r"\A(?:lo|veth|cali|docker|br-|cni|flannel|tunl|vxlan|lxc)")
_LOSS = re.compile(
    r"(?:ping|probe|smokeping|network)\w*(?:loss|lost)\w*(?:ratio|percent|percentage)?\Z", re.I
)
_ROUND_TRIP = re.compile(r"(?:\A|_)(?:ping_)?(?:rtt|round_trip|ping_latency|network_latency)\w*\Z", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """The time that a call spends outside its server, in milliseconds, now and in a healthy time."""

    caller: str
    callee: str
    now: float
    before: float | None
    nodes: frozenset[str]

    @property
    def slow(self) -> bool:
        if self.before is None:
            return self.now >= 100
        return self.now >= max(3 * self.before, self.before + 20)


def check(scene: Scene) -> list[Fact]:
    gaps = _gaps(scene)
    facts = [*_dropped(scene), *_resent(scene), *_probed(scene), *_between_spans(scene, gaps)]
    return [*facts, *_quiet(scene, facts, gaps)]


def _quiet(scene: Scene, facts: Sequence[Fact], gaps: Sequence[_Gap]) -> Iterator[Fact]:
    """From spans of both sides of the subject's own calls."""
    looked = scene.world.looked("trace.spans")
    if not looked and not scene.world.looked("metric.survey"):
        return
    taken = {(fact.kind, fact.subject) for fact in facts}
    for name in scene.services:
        own = [gap for gap in gaps if name in (gap.caller, gap.callee)]
        for kind in (DELAY, LOSS):
            if (kind, name) in taken:
                continue
            whole = bool(looked) and all(item.usable and item.reason is None for item in looked)
            if kind == DELAY and own and whole and not any(gap.slow for gap in own):
                detail = "no time is lost between its spans and those of its neighbours"
                yield service(name).absent(kind, 0.75, looked, "network.spans", detail)
            else:
                cited = looked or scene.world.looked("metric.survey")
                detail = "needs packet counters, probes or spans of both sides"
                yield service(name).unknown(kind, cited, "network", detail)


def _subject(scene: Scene, track: Track) -> Subject:
    return node(track.object) if track.object_kind == "node" else scene.subject_named(track.object)


def _dropped(scene: Scene) -> Iterator[Fact]:
    """Packets dropped or damaged: a share of all packets where those are counted."""
    worst: dict[tuple[str, str], tuple[float, Track]] = {}
    for metric, tracks in scene.tracks.items():
        for track in tracks if _COUNTERS.match(metric) else ():
            device = track.series.labels.get("device") or track.series.labels.get("interface") or ""
            rate = levels(scene, track, counter=True)
            if rate is None or not track.object or _VIRTUAL.match(device):
                continue
            packets = _packets(scene, track)
            much = rate.now >= 0.01 * packets if packets else rate.now >= 10
            key = (track.object_kind, track.object)
            new = rate.before is None or rate.now >= 5 * rate.before
            if rate.now >= 0.5 and much and new and rate.now > worst.get(key, (0.0,))[0]:
                worst[key] = (rate.now, track)
    for rate_now, track in worst.values():
        where = track.pod or track.object
        detail = f"{where} drops {rate_now:.1f} packets a second ({track.series.name})"
        yield _subject(scene, track).found(LOSS, 0.8, (track.evidence,), "network.drops", detail)


def _packets(scene: Scene, track: Track) -> float | None:
    """Packets per second of the same interface and direction."""
    name = re.sub(r"(?:drop|errs|packets_dropped|errors)_total\Z", "packets_total", track.series.name)
    key = "device" if "device" in track.series.labels else "interface"
    for other in scene.tracks.get(name, ()):
        same = other.series.labels.get(key) == track.series.labels.get(key)
        if same and (other.object, other.pod) == (track.object, track.pod):
            rate = levels(scene, other, counter=True)
            return rate.now if rate else None
    return None


def _resent(scene: Scene) -> Iterator[Fact]:
    sent = {one.object: one for one in scene.tracks.get("node_netstat_Tcp_OutSegs", ())}
    for track in scene.tracks.get("node_netstat_Tcp_RetransSegs", ()):
        whole = sent.get(track.object)
        again = levels(scene, track, counter=True)
        every = levels(scene, whole, counter=True) if whole is not None else None
        if again is None or every is None or whole is None or every.now <= 0:
            continue
        share = again.now / every.now
        usual = again.before / every.before if again.before is not None and every.before else 0.0
        if share >= 0.02 and share >= 3 * usual:
            detail = f"{track.object} sends {share:.1%} of its TCP segments again ({usual:.1%} before)"
            cited = (track.evidence, whole.evidence)
            yield _subject(scene, track).found(LOSS, 0.8, cited, "network.retransmits", detail)


def _probed(scene: Scene) -> Iterator[Fact]:
    for metric, tracks in scene.tracks.items():
        loss, trip = _LOSS.search(metric), _ROUND_TRIP.search(metric)
        if not (loss or trip) or metric.endswith(("_bucket", "_count", "_sum")):
            continue
        for track in tracks:
            level = levels(scene, track)
            if level is None or not track.object:
                continue
            if loss:
                share = level.now / 100 if "percent" in metric.lower() or level.now > 1 else level.now
                if share >= 0.01 and level.grew(3, level.now / 2):
                    detail = f"{share:.0%} of the probes of {track.object} are lost ({metric})"
                    yield _subject(scene, track).found(LOSS, 0.85, (track.evidence,), "network.probe", detail)
            elif level.before is not None and level.grew(3, 0.0) and level.before > 0:
                times = level.now / level.before
                detail = f"the way to {track.object} takes {times:.0f} times as long as before ({metric})"
                yield _subject(scene, track).found(DELAY, 0.85, (track.evidence,), "network.probe", detail)


def _between_spans(scene: Scene, gaps: Sequence[_Gap]) -> Iterator[Fact]:
    """Charges the one service, or node, that all slowed edges have in common and whose edges all slowed."""
    slow = [gap for gap in gaps if gap.slow]
    if not slow or len(gaps) < 2:
        # A single edge cannot tell the network from the tracer.
        return
    cited = scene.world.looked("trace.spans")
    ends = {name for gap in slow for name in (gap.caller, gap.callee)}
    scored = []
    for name in ends:
        own = [gap for gap in gaps if name in (gap.caller, gap.callee)]
        hit = sum(gap.slow for gap in own)
        called = sum(gap.callee == name and gap.slow for gap in own)
        scored.append((hit / len(slow), hit / len(own), called, name))
    if not scored:
        return
    covers, share, _, name = max(scored)
    hosts = [{host for host in gap.nodes if host} for gap in slow]
    common: set[str] = set.intersection(*hosts) if hosts else set()
    lost = max(gap.now - (gap.before or 0.0) for gap in slow)
    if covers >= 0.8 and share >= 0.6:
        edges = listed(f"{gap.caller} → {gap.callee}" for gap in slow)
        detail = f"up to {lost:.0f} ms are lost between client and server on {edges}, all of them with {name}"
        confidence = 0.8 if len(gaps) > len(slow) else 0.6
        yield scene.subject_named(name).found(DELAY, confidence, cited, "network.spans", detail)
    for host in sorted(common):
        own = [gap for gap in gaps if host in gap.nodes]
        if len(slow) >= 3 and len(own) < len(gaps) and sum(gap.slow for gap in own) >= 0.7 * len(own):
            detail = f"up to {lost:.0f} ms are lost on every call from or to {host}, on others none"
            yield node(host).found(DELAY, 0.8, cited, "network.spans", detail)


def _gaps(scene: Scene) -> list[_Gap]:
    now = _pairs(scene.world.spans)
    before = _pairs(scene.world.healthy_spans)
    if not before:
        early = [span for span in scene.world.spans if not scene.current(span.start)]
        late = [span for span in scene.world.spans if span.start >= scene.world.onset]
        if early and late:
            before, now = _pairs(early), _pairs(late)
    found = []
    for (caller, callee), gaps in now.items():
        if len(gaps) < 3:
            continue
        usual = before.get((caller, callee), [])
        ends = [pod.node for name in (caller, callee) for pod in scene.layout.pods_of(name)]
        found.append(
            _Gap(
                caller=caller,
                callee=callee,
                now=median(gaps),
                before=median(usual) if len(usual) >= 3 else None,
                nodes=frozenset(ends) if len(ends) == 2 else frozenset(),
            )
        )
    return found


def _pairs(spans: Sequence[TraceSpan]) -> Mapping[tuple[str, str], list[float]]:
    """Client minus server time in milliseconds, by (caller, callee)."""
    clients = {(one.trace_id, one.span_id): one for one in spans if one.kind == "client"}
    found: dict[tuple[str, str], list[float]] = {}
    for span in spans:
        client = clients.get((span.trace_id, span.parent_id or ""))
        if client is not None and client.service != span.service and span.kind in ("server", ""):
            lost = max(0.0, client.duration_ms - span.duration_ms)
            found.setdefault((client.service, span.service), []).append(lost)
    return found

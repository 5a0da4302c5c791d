"""Images that cannot be pulled, and why: name, tag, credentials, network, registry, architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import Box, leaving, mapping, objects
from investigators.facts.workloads.effects import CALLERS, DOWN
from investigators.facts.workloads.findings import Findings, Source
from investigators.facts.workloads.scene import Scene, Unit, pod_spec_of, scene_of
from investigators.world.world import World

_WAITS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_NEEDS_EVENT = ("Pod", "Event")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "image_pull": ("Pod",),
    "image_name_wrong": _NEEDS_EVENT,
    "image_tag_missing": _NEEDS_EVENT,
    "image_pull_auth": _NEEDS_EVENT,
    "image_pull_network": _NEEDS_EVENT,
    "image_registry_unreachable": _NEEDS_EVENT,
    "image_pull_rate_limited": _NEEDS_EVENT,
    "image_arch_mismatch": _NEEDS_EVENT,
}


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_NAME = _any(
    r"invalid reference format",
    r"couldn't parse image",
    r"name unknown",
    r"name_unknown",
    r"invalidimagename",
    r"repository name not known",
    r"repository \S+ (?:was )?not found",
    r"must be lowercase",
)
_HUB_DENIED = _any(
    r"repository does not exist or may require",
    r"requested access to the resource is denied",
    r"insufficient_scope",
)
_RATE = _any(r"toomanyrequests", r"429 too many requests", r"pull rate limit")
_AUTH = _any(
    r"unauthorized",
    r"authentication required",
    r"authorization failed",
    r"\b40[13]\b",
    r"no basic auth",
    r"access denied",
    r"\bdenied:",
    r"permission .*denied",
    r"FailedToRetrieveImagePullSecret",
)
_ARCH = _any(
    r"no matching manifest for",
    r"no match for platform",
    r"exec format error",
    r"image platform .* does not match",
)
_TAG = _any(
    r"manifest unknown",
    r"manifest for .{0,120}?not found",
    r"MANIFEST_UNKNOWN",
    r": not found",
    r"manifest \S+ not found",
    r"\b404\b",
)
_UNREACHABLE = _any(
    r"no such host",
    r"connection refused",
    r"server misbehaving",
    r"\b50[0234]\b",
    r"registryunavailable",
)
_NETWORK = _any(
    r"i/o timeout",
    r"connection reset",
    r"handshake timeout",
    r"deadline exceeded",
    r"\bEOF\b",
    r"x509",
    r"temporary failure in name resolution",
    r"request canceled",
    r"no route to host",
    r"network is unreachable",
    r"proxyconnect",
    r"operation timed out",
)
_FORMAT = re.compile("exec format error", re.IGNORECASE)
_ARCH_LABEL = "kubernetes.io/arch"
_LOOKUP = re.compile(r"lookup (\S+?)(?: on [\d.:\[\]a-f]+)?: no such host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image's name taken apart as a container runtime does."""

    registry: str
    repository: str
    tag: str


def reference(image: str) -> Reference:
    """``nginx`` is docker.io, library/nginx, latest."""
    name, _, digest = image.partition("@")
    head, slash, rest = name.partition("/")
    registry = "docker.io"
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, name = head, rest
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        path, tag = name, ""
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return Reference(registry=registry, repository=path, tag=digest or tag or "latest")


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="images")
    for unit in scene.units:
        for box in unit.boxes:
            if not leaving(box.pod) and (box.waiting_reason in _WAITS or _backs_off(scene, box)):
                _judge(findings, unit, box)
        _not_executable(findings, unit)
    return findings.facts(NEEDS)


def _not_executable(findings: Findings, unit: Unit) -> None:
    """The image was pulled, but its program is for another processor. A script without a first line fails
    with the same words, so the nodes' architectures are looked at."""
    scene = findings.scene
    for box in unit.boxes:
        sources: list[Source] = [box.pod]
        said = f"{box.waiting.get('message') or ''} {box.ended.get('message') or ''}"
        if "exec format error" not in said:
            if box.exit_code in (None, 0) or not scene.recent(box.ended_at):
                continue
            lines = [
                one for one in scene.grep(unit, ("exec format error",), _FORMAT) if one.pod == box.pod.name
            ]
            if not lines:
                continue
            sources.append(lines[-1])
        node = scene.cluster.get("Node", "", str(box.pod.at("spec", "nodeName") or ""))
        detail, confidence = f'{box.where} ends with "exec format error"', 0.8
        if node is not None:
            kind = mapping(node.at("metadata", "labels")).get(_ARCH_LABEL)
            kinds = {
                mapping(one.at("metadata", "labels")).get(_ARCH_LABEL) for one in scene.cluster.of("Node")
            }
            detail += f"; node {node.name} is {kind}"
            sources.append(node)
            confidence = 0.92 if len(kinds) > 1 else 0.8
        findings.found(
            "image_arch_mismatch", unit, confidence, sources, detail, of=box.pod.name, began=box.ended_at
        )


def _backs_off(scene: Scene, box: Box) -> bool:
    """A pull that is tried again shows for a moment as an ordinary start."""
    image = str(box.spec.get("image") or "")
    return (
        box.waiting_reason in ("ContainerCreating", "PodInitializing")
        and bool(image)
        and any(
            event.reason in ("BackOff", "Failed", "InspectFailed")
            and event.type == "Warning"
            and image in event.message
            for event in scene.events_of(box.pod)
        )
    )


def _judge(findings: Findings, unit: Unit, box: Box) -> None:
    scene = findings.scene
    image = str(box.spec.get("image") or "")
    events = [
        event
        for event in scene.events_of(box.pod)
        if event.type == "Warning"
        and (image in event.message or event.reason in ("FailedToRetrieveImagePullSecret", "InspectFailed"))
    ]
    text = " ".join([str(box.waiting.get("message") or ""), box.waiting_reason, *(e.message for e in events)])
    sources: list[Source] = [box.pod, *events[-2:]]
    began = box.pod.created_at
    detail = f"{box.where} cannot get image {image}: {_reason(text, box, events)}"
    findings.found("image_pull", unit, 0.9, sources, detail, of=box.pod.name, began=began)
    # A tag may look like a status code.
    causes = _causes(scene, unit, box, image, text.replace(image, "") if image else text)
    for kind, confidence, why in causes:
        what = f"{detail}{f'; {why}' if why else ''}"
        findings.found(kind, unit, confidence, sources, what, of=box.pod.name, began=began)
    if not causes:
        why = f"image {image} is not pulled, and nothing says why"
        for kind in NEEDS:
            if kind != "image_pull":
                findings.unsure(kind, unit, why)


def _causes(scene: Scene, unit: Unit, box: Box, image: str, text: str) -> list[tuple[str, float, str]]:
    """(kind, confidence, why) of each cause that the runtime's words and the objects allow."""
    own = reference(image)
    secret = _missing_secret(scene, box)
    if _NAME.search(text) or box.waiting_reason == "InvalidImageName":
        return [("image_name_wrong", 0.95, "")]
    if _RATE.search(text):
        return [("image_pull_rate_limited", 0.92, "")]
    if _ARCH.search(text):
        return [("image_arch_mismatch", 0.9, "")]
    before = [reference(one) for one in _earlier(unit, box)]
    changed = bool(before) and all(one.repository != own.repository for one in before)
    if _HUB_DENIED.search(text) and own.registry == "docker.io":
        # Docker Hub says the same of a repository that is not there and of one that is private.
        if secret:
            return [("image_pull_auth", 0.92, secret)]
        if any(one.repository == own.repository for one in before) or _pulled_elsewhere(scene, own):
            return [("image_pull_auth", 0.85, "the same repository was pulled before")]
        if box.pod.items("spec", "imagePullSecrets") and not changed:
            return [("image_pull_auth", 0.75, ""), ("image_name_wrong", 0.6, "")]
        why = f"before it was {before[0].repository}" if changed else "no imagePullSecret is given"
        return [("image_name_wrong", 0.85 if changed else 0.75, why), ("image_pull_auth", 0.55, why)]
    if _AUTH.search(text):
        return [("image_pull_auth", 0.92 if secret else 0.88, secret)]
    if _TAG.search(text):
        if changed and any(one.tag == own.tag for one in before):
            return [
                ("image_name_wrong", 0.85, f"before it was {before[0].repository}"),
                ("image_tag_missing", 0.6, ""),
            ]
        return [
            (
                "image_tag_missing",
                0.93,
                f"before it was tag {before[0].tag}" if before and not changed else "",
            )
        ]
    if _UNREACHABLE.search(text):
        lookup = _LOOKUP.search(text)
        elsewhere = bool(before) and all(one.registry != own.registry for one in before)
        causes = [("image_registry_unreachable", 0.88, f"{lookup[1]} has no address" if lookup else "")]
        if lookup and elsewhere:
            causes.append(("image_name_wrong", 0.8, f"before the registry was {before[0].registry}"))
        return causes
    if _NETWORK.search(text):
        return [("image_pull_network", 0.88, "")]
    return [("image_pull_auth", 0.7, secret)] if secret else []


def _missing_secret(scene: Scene, box: Box) -> str:
    """A pull secret that the pod names and that is not there."""
    cluster, names = (
        scene.cluster,
        [str(one.get("name")) for one in objects(box.pod.at("spec", "imagePullSecrets"))],
    )
    if any(event.reason == "FailedToRetrieveImagePullSecret" for event in scene.events_of(box.pod)):
        return f"imagePullSecret {', '.join(names)} cannot be read"
    if not cluster.knows("Secret"):
        return ""
    missing = [name for name in names if cluster.get("Secret", box.pod.namespace, name) is None]
    return f"imagePullSecret {', '.join(missing)} does not exist" if missing else ""


def _earlier(unit: Unit, box: Box) -> list[str]:
    """The images of the same container in the workload's older revisions, newest first."""
    found = []
    for revision in unit.revisions[1:]:
        for container in objects(pod_spec_of(revision).get("containers")):
            if container.get("name") == box.name and container.get("image") != box.spec.get("image"):
                found.append(str(container.get("image")))
    return found


def _pulled_elsewhere(scene: Scene, own: Reference) -> bool:
    """Whether a container of this repository runs."""
    return any(
        box.running_since is not None
        and reference(str(box.spec.get("image") or "")).repository == own.repository
        for unit in scene.units
        for box in unit.boxes
    )


def _reason(text: str, box: Box, events: Sequence[object]) -> str:
    message = " ".join(str(box.waiting.get("message") or "").split())
    if not message or message.startswith("Back-off"):
        said = re.search(r"Failed to pull image .*?: (.+)", " ".join(text.split()))
        message = said[1] if said else message or box.waiting_reason
    return message[:260]


def _fault(title: str, step: str) -> Fault:
    return Fault(title=title, weight=1.0, explains=DOWN | {"image_pull"}, spreads=CALLERS, steps=(step,))


FAULTS = {
    "image_pull": Fault(title="its image cannot be pulled", weight=0.6, explains=DOWN, spreads=CALLERS),
    "image_name_wrong": _fault("its image's name is wrong", "Correct the image's registry or repository."),
    "image_tag_missing": _fault("its image's tag does not exist", "Push the tag or correct it."),
    "image_pull_auth": _fault("the registry refuses the credentials", "Correct the imagePullSecret."),
    "image_pull_network": _fault("the way to the registry is broken", "Try the registry from the node."),
    "image_registry_unreachable": _fault("the registry does not answer", "See whether the registry runs."),
    "image_pull_rate_limited": _fault("the registry limits pulls", "Pull with an account or from a mirror."),
    "image_arch_mismatch": Fault(
        title="its image is for another processor",
        weight=1.0,
        explains=DOWN | {"image_pull", "crashloop", "process_crash", "bad_command"},
        spreads=CALLERS,
        steps=("Build the image for the node's architecture, or select nodes of the image's.",),
    ),
}

"""Why a volume claim of a pod is not bound."""

from __future__ import annotations

from collections.abc import Iterator

from investigators.facts.workloads.boxes import mapping, objects, words
from investigators.facts.workloads.findings import Source
from investigators.facts.workloads.quantity import quantity
from investigators.facts.workloads.scene import Scene
from investigators.world.cluster import Thing

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def claims_of(pod: Thing) -> Iterator[str]:
    """The names of the claims that a pod's volumes use, those made for it too."""
    for volume in objects(pod.at("spec", "volumes")):
        claim = mapping(volume.get("persistentVolumeClaim")).get("claimName")
        if isinstance(claim, str):
            yield claim
        elif isinstance(volume.get("ephemeral"), dict):
            yield f"{pod.name}-{volume.get('name')}"


def trouble(scene: Scene, pod: Thing) -> tuple[str, str, list[Source], bool] | None:
    """(claim, why it is not bound, what shows it, whether it only waits for the pod to be placed) of the
    first claim in trouble; None when all are bound or nothing is known."""
    cluster = scene.cluster
    for name in claims_of(pod):
        claim = cluster.get("PersistentVolumeClaim", pod.namespace, name)
        if claim is None:
            if cluster.knows("PersistentVolumeClaim"):
                sources: list[Source] = [pod, *cluster.looked("PersistentVolumeClaim")]
                return name, "does not exist", sources, False
            continue
        phase = claim.at("status", "phase")
        if phase == "Lost":
            return name, f"lost its volume {claim.at('spec', 'volumeName')}", [claim], False
        if phase == "Pending":
            why, sources, waits = _pending(scene, claim)
            return name, why, sources, waits
    return None


def _pending(scene: Scene, claim: Thing) -> tuple[str, list[Source], bool]:
    cluster = scene.cluster
    wanted = _class_of(scene, claim)
    events = [event for event in cluster.events_about(claim) if event.type == "Warning"]
    if wanted is None:
        why = (
            "names no StorageClass and there is no default one"
            if cluster.knows("StorageClass")
            else "is Pending"
        )
        fit = _no_volume_fits(scene, claim)
        return (fit or why), [claim, *cluster.looked("StorageClass", "PersistentVolume")], False
    storage = cluster.get("StorageClass", "", wanted)
    if storage is None and cluster.knows("StorageClass") and wanted:
        fit = _no_volume_fits(scene, claim)
        why = f"asks for StorageClass {wanted}, which does not exist"
        sources: list[Source] = [claim, *cluster.looked("StorageClass")]
        return why + (f"; {fit}" if fit else ""), sources, False
    if events:
        text = " ".join(events[-1].message.split())[:240]
        return f"is Pending: {events[-1].reason}: {text}", [claim, events[-1]], False
    if storage is not None and storage.at("volumeBindingMode") == "WaitForFirstConsumer":
        static = storage.at("provisioner") == "kubernetes.io/no-provisioner"
        fit = _no_volume_fits(scene, claim) if static else None
        if fit is None:
            return "waits for its pod to be placed", [claim, storage], True
        return fit, [claim, storage, *cluster.looked("PersistentVolume")], False
    fit = _no_volume_fits(scene, claim)
    return fit or "is Pending", [claim, *cluster.looked("PersistentVolume")], False


def _class_of(scene: Scene, claim: Thing) -> str | None:
    """The claim's class; "" asks for a volume without one; None when none was named and none is default."""
    named = claim.at("spec", "storageClassName")
    if isinstance(named, str):
        return named
    for storage in scene.cluster.of("StorageClass"):
        if mapping(storage.at("metadata", "annotations")).get(_DEFAULT) == "true":
            return storage.name
    return None


def _no_volume_fits(scene: Scene, claim: Thing) -> str | None:
    """What keeps each free volume of the claim's class from fitting."""
    if not scene.cluster.knows("PersistentVolume"):
        return None
    name = claim.at("spec", "volumeName")
    if isinstance(name, str) and scene.cluster.get("PersistentVolume", "", name) is None:
        return f"names volume {name}, which does not exist"
    size = quantity(claim.at("spec", "resources", "requests", "storage")) or 0.0
    modes = set(words(claim.at("spec", "accessModes")))
    mode = claim.at("spec", "volumeMode", default="Filesystem")
    why = []
    for volume in scene.cluster.of("PersistentVolume"):
        same = (volume.at("spec", "storageClassName") or "") == (claim.at("spec", "storageClassName") or "")
        if not same or (isinstance(name, str) and volume.name != name):
            continue
        have = set(words(volume.at("spec", "accessModes")))
        if volume.at("status", "phase") != "Available":
            other = volume.at("spec", "claimRef", "name")
            why.append(
                f"{volume.name} is {volume.at('status', 'phase')}" + (f" for {other}" if other else "")
            )
        elif (its := volume.at("spec", "volumeMode", default="Filesystem")) != mode:
            why.append(f"{volume.name} has volumeMode {its}, the claim asks for {mode}")
        elif not modes <= have:
            why.append(
                f"{volume.name} offers {', '.join(sorted(have))}, the claim asks for "
                f"{', '.join(sorted(modes))}"
            )
        elif (quantity(volume.at("spec", "capacity", "storage")) or 0.0) < size:
            why.append(
                f"{volume.name} holds {volume.at('spec', 'capacity', 'storage')}, the claim asks for "
                f"{claim.at('spec', 'resources', 'requests', 'storage')}"
            )
    if not why:
        return None
    return f"finds no volume: {'; '.join(why[:3])}"

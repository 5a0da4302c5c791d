"""Endpoints and EndpointSlices."""

from __future__ import annotations

from benchmarks.scenarios.kubernetes.cluster import Cluster, Doc


def endpoints(cluster: Cluster, objects: list[Doc]) -> list[Doc]:
    """Endpoints and EndpointSlices that follow from the services' selectors and the pods."""
    pods = [one for one in objects if one["kind"] == "Pod"]
    found: list[Doc] = []
    for service in [one for one in objects if one["kind"] == "Service"]:
        selector = service["spec"].get("selector")
        if not selector:
            continue
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        chosen = [
            pod
            for pod in pods
            if pod["metadata"]["namespace"] == namespace
            and selector.items() <= pod["metadata"]["labels"].items()
            and pod["status"].get("podIP")
        ]
        yes = [pod for pod in chosen if _is_ready(pod)]
        no = [pod for pod in chosen if not _is_ready(pod)]
        ports = _ports(service, chosen)
        subset: Doc = {}
        if yes:
            subset["addresses"] = [_address(pod) for pod in yes]
        if no:
            subset["notReadyAddresses"] = [_address(pod) for pod in no]
        body: Doc = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": cluster.metadata("Endpoints", name, namespace, 60.0 * 24 * 41),
        }
        if subset:
            body["subsets"] = [{**subset, "ports": ports}]
        found.append(body)
        found.append(
            {
                "addressType": "IPv4",
                "apiVersion": "discovery.k8s.io/v1",
                "endpoints": [
                    {
                        "addresses": [pod["status"]["podIP"]],
                        "conditions": {
                            "ready": _is_ready(pod),
                            "serving": _is_ready(pod),
                            "terminating": "deletionTimestamp" in pod["metadata"],
                        },
                        "nodeName": pod["spec"]["nodeName"],
                        "targetRef": _reference(pod),
                    }
                    for pod in chosen
                ],
                "kind": "EndpointSlice",
                "metadata": cluster.metadata(
                    "EndpointSlice",
                    f"{name}-{cluster.suffix('slice', name)}",
                    namespace,
                    60.0 * 24 * 41,
                    labels={"kubernetes.io/service-name": name},
                ),
                "ports": ports,
            }
        )
    return found


def _is_ready(pod: Doc) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ())
    )


def _ports(service: Doc, pods: list[Doc]) -> list[Doc]:
    found = []
    for port in service["spec"]["ports"]:
        target = port["targetPort"]
        if isinstance(target, str):
            numbers = [
                one["containerPort"]
                for pod in pods
                for container in pod["spec"]["containers"]
                for one in container.get("ports", ())
                if one.get("name") == target
            ]
            if not numbers:
                continue
            target = numbers[0]
        found.append({"name": port["name"], "port": target, "protocol": "TCP"})
    return found


def _reference(pod: Doc) -> Doc:
    metadata = pod["metadata"]
    return {"kind": "Pod", **{key: metadata[key] for key in ("name", "namespace", "uid")}}


def _address(pod: Doc) -> Doc:
    return {
        "ip": pod["status"]["podIP"],
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": _reference(pod),
    }

"""What ``kubectl get pods`` says of a pod, by the same rules."""

from __future__ import annotations

from datetime import datetime

from adapters.evidence.kubernetes.look import Object, age, at, condition, created, each, moment, name, whole

_FINE = ("Running", "Completed", "Succeeded")


def pod_status(pod: Object) -> str:
    """The STATUS column: the phase, or the reason that tells more."""
    status = str(at(pod, "status", "reason") or at(pod, "status", "phase", default="Unknown"))
    init = _init_status(pod)
    if init is not None:
        status = init
    else:
        running = False
        for container in reversed(each(pod, "status", "containerStatuses")):
            said = _container_said(container)
            if said is not None:
                status = said
            elif container.get("ready") is True and at(container, "state", "running") is not None:
                running = True
        if status == "Completed" and running:
            ready = condition(pod, "Ready").get("status") == "True"
            status = "Running" if ready else "NotReady"
    if at(pod, "metadata", "deletionTimestamp") is not None:
        return "Unknown" if at(pod, "status", "reason") == "NodeLost" else "Terminating"
    return status


def pod_row(pod: Object, now: datetime) -> tuple[list[str], bool]:
    """Columns of ``kubectl get pods -o wide`` with the reason of the last end, and whether all is well."""
    sidecars = _sidecars(pod)
    statuses = each(pod, "status", "containerStatuses")
    initial = each(pod, "status", "initContainerStatuses")
    counted = statuses + [one for one in initial if one.get("name") in sidecars]
    ready = sum(one.get("ready") is True for one in counted)
    total = len(each(pod, "spec", "containers")) + len(sidecars)
    status = pod_status(pod)
    restarts = sum(whole(one, "restartCount") for one in statuses + initial)
    ends = [moment(at(one, "lastState", "terminated", "finishedAt")) for one in statuses + initial]
    last = max((end for end in ends if end is not None), default=None)
    again = f"{restarts} ({age(last, now)} ago)" if restarts and last is not None else str(restarts)
    well = status in _FINE and (ready == total or status != "Running")
    node = str(at(pod, "spec", "nodeName", default="<none>"))
    return [name(pod), f"{ready}/{total}", status, again, age(created(pod), now), node, _why(pod)], well


def _init_status(pod: Object) -> str | None:
    """What is said while init containers run or fail; None when they are through."""
    initial = each(pod, "status", "initContainerStatuses")
    sidecars = _sidecars(pod)
    for index, one in enumerate(initial):
        terminated = at(one, "state", "terminated")
        if terminated is not None and whole(terminated, "exitCode") == 0:
            continue
        if one.get("name") in sidecars and one.get("started") is True:
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}"
        waiting = at(one, "state", "waiting", "reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(each(pod, 'spec', 'initContainers'))}"
    return None


def _container_said(container: Object) -> str | None:
    waiting = at(container, "state", "waiting", "reason")
    if waiting:
        return str(waiting)
    terminated = at(container, "state", "terminated")
    return None if terminated is None else _ended(terminated)


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if whole(terminated, "signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{whole(terminated, 'exitCode')}"


def _sidecars(pod: Object) -> set[object]:
    return {
        one.get("name") for one in each(pod, "spec", "initContainers") if one.get("restartPolicy") == "Always"
    }


def _why(pod: Object) -> str:
    """How containers last ended, and why the pod is not scheduled."""
    said = []
    for one in each(pod, "status", "initContainerStatuses") + each(pod, "status", "containerStatuses"):
        last = at(one, "lastState", "terminated")
        if last is not None:
            said.append(f"{one.get('name')} last {_ended(last)} ({whole(last, 'exitCode')})")
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        said.append(f"{scheduled.get('reason')}: {scheduled.get('message')}")
    return ", ".join(said)

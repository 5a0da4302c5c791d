"""Containers that do not get to run their program: command, init containers, user, read-only root."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from bot.domain.evidence import Fact
from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import Box, leaving, mapping, objects, words
from investigators.facts.workloads.effects import CALLERS, CRASHING, DOWN
from investigators.facts.workloads.findings import LOG, Findings, Source
from investigators.facts.workloads.scene import USUAL, Scene, Unit, earlier, failing, scene_of
from investigators.ranking import human_time
from investigators.world.world import Line, World

_START_REASONS = frozenset({"StartError", "ContainerCannotRun", "RunContainerError", "PostStartHookError"})
_EXEC = re.compile(
    r"exec: \"?(?P<what>[^\":]+)\"?: "
    r"(?P<why>executable file not found|stat .*|permission denied|no such file|is a directory)"
    r"|chdir to cwd \(\"(?P<cwd>[^\"]+)\"\)"
    r"|exec:? \"?(?P<path>/[^\":\s]+)\"?: (?P<reason>no such file or directory|permission denied)"
    r"|no command specified",
    re.IGNORECASE,
)
_SHELL = re.compile(
    r"(?:sh|bash|ash)(?:: line)?:? ?\d*:? .{1,80}: (?:command )?not found\b|can't open file '"
    r"|Cannot find module "
    r"|Unable to access jarfile|Could not find or load main class|unknown (?:flag|shorthand flag|option)\b"
    r"|flag provided but not defined|unrecognized (?:arguments|option)|No module named .*__main__"
    r"|invalid option --|no such file or directory: .*(?:entrypoint|\.sh)",
    re.IGNORECASE,
)
_SHELL_NEEDLES = (
    "not found",
    "can't open file",
    "cannot find module",
    "jarfile",
    "main class",
    "unknown flag",
    "unknown shorthand",
    "unknown option",
    "not defined",
    "unrecognized",
    "no module named",
    "invalid option",
    "no such file",
)
_READ_ONLY = re.compile(r"read-only file ?system|\bEROFS\b", re.IGNORECASE)
_NON_ROOT = re.compile(
    r"runAsNonRoot and image (?:will run as root|has non-numeric user)|breaks non-root policy"
    r"|unable to find user \S+: no matching entries in passwd",
)
_BIND = re.compile(
    r"(?:bind|listen).{0,60}permission denied|permission denied.{0,30}(?:bind|listen)", re.IGNORECASE
)
_DENIED = re.compile(r"permission denied|EACCES|operation not permitted", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.:/])(/[\w.@-]+(?:/[\w.@-]+)*)")
_STUCK = timedelta(minutes=5)
_NEEDS_EVENT = ("Pod", "Event")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "bad_command": ("Pod",),
    "init_container_failed": ("Pod",),
    "read_only_root_filesystem": ("Pod", LOG),
    "run_as_user_denied": _NEEDS_EVENT,
}


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="startup")
    for unit in scene.units:
        for box in unit.boxes:
            if leaving(box.pod):
                continue
            _command(findings, unit, box)
            _user(findings, unit, box)
            if box.init:
                _init(findings, unit, box)
        _read_only(findings, unit)
        _denied(findings, unit)
    return findings.facts(NEEDS)


def said_at_start(box: Box) -> str:
    """What the runtime says of a container that it could not start."""
    return " ".join(f"{box.waiting.get('message') or ''} {box.ended.get('message') or ''}".split())


def _command(findings: Findings, unit: Unit, box: Box) -> None:
    scene = findings.scene
    text, code = said_at_start(box), box.exit_code
    reason = str(box.ended.get("reason") or box.waiting_reason)
    if not scene.recent(box.ended_at) or "exec format error" in text:
        return
    command = [*words(box.spec.get("command")), *words(box.spec.get("args"))]
    ran = f" (command {' '.join(command)[:120]})" if command else ""
    where, began = box.where, box.ended_at
    if reason == "PostStartHookError":
        detail = f"the postStart hook of {where} fails: {text[:200]}"
        findings.found("bad_command", unit, 0.8, (box.pod,), detail, of=box.pod.name, began=began)
    elif match := _EXEC.search(text):
        what = match["what"] or match["path"]
        why = match["why"] or match["reason"] or f"working directory {match['cwd']} does not exist"
        detail = f"{where} cannot be started{ran}: {f'{what}: ' if what else ''}{why}"
        findings.found("bad_command", unit, 0.95, (box.pod,), detail, of=box.pod.name, began=began)
    elif code in (126, 127) and not box.running_since:
        meaning = "its command is not found" if code == 127 else "its command may not be executed"
        lines = _last_words(scene, unit, box)
        detail = f"{where} ends with exit code {code}, {meaning}{ran}{_quoted(lines)}"
        findings.found("bad_command", unit, 0.88, (box.pod, *lines), detail, of=box.pod.name, began=began)
    elif code in (1, 2, 64) and failing(scene, box):
        lines = [one for one in scene.grep(unit, _SHELL_NEEDLES, _SHELL) if one.pod == box.pod.name][-1:]
        if lines:
            changed = _command_changed(unit, box)
            detail = f"{where} ends with exit code {code}{ran}{_quoted(lines)}"
            detail += "; the command was another one in the revision before" if changed else ""
            confidence = 0.9 if changed else (0.8 if command else 0.65)
            findings.found(
                "bad_command", unit, confidence, (box.pod, *lines), detail, of=box.pod.name, began=began
            )
    elif reason in _START_REASONS and "mount" not in text.lower():
        detail = f"{where} cannot be started{ran}: {text[:200] or reason}"
        findings.found("bad_command", unit, 0.6, (box.pod,), detail, of=box.pod.name, began=began)


def _command_changed(unit: Unit, box: Box) -> bool:
    _, before = earlier(unit, box.name)
    return bool(before) and any(before.get(key) != box.spec.get(key) for key in ("command", "args"))


def _last_words(scene: Scene, unit: Unit, box: Box) -> list[Line]:
    lines = [one for one in scene.lines(unit) if one.pod == box.pod.name and one.text.strip()]
    return lines[-1:]


def _quoted(lines: list[Line]) -> str:
    return f": {lines[-1].text.strip()[:160]!r}" if lines else ""


def _init(findings: Findings, unit: Unit, box: Box) -> None:
    scene, pod = findings.scene, box.pod
    if pod.at("status", "phase") not in ("Pending", "Failed"):
        return
    code, since = box.exit_code, box.running_since
    lines = _last_words(scene, unit, box)
    if code not in (None, 0) and scene.recent(box.ended_at):
        detail = f"init {box.where} ends with exit code {code}{_quoted(lines)}; the pod does not start"
        findings.found(
            "init_container_failed", unit, 0.92, (pod, *lines), detail, of=pod.name, began=box.ended_at
        )
    elif since is not None and scene.world.now - since >= _STUCK:
        waited = human_time(scene.world.now - since)
        detail = (
            f"init {box.where} has been running for {waited} and keeps the pod from starting{_quoted(lines)}"
        )
        findings.found("init_container_failed", unit, 0.75, (pod, *lines), detail, of=pod.name, began=since)


def _user(findings: Findings, unit: Unit, box: Box) -> None:
    events = [e for e in findings.scene.events_of(box.pod) if e.reason == "Failed"] if box.waiting else []
    text = f"{said_at_start(box)} {events[-1].message if events else ''}"
    if box.waiting and _NON_ROOT.search(text):
        detail = f"{box.where} may not run as the image's user: {text.strip()[:240]}"
        sources: tuple[Source, ...] = (box.pod, *events[-1:])
        findings.found(
            "run_as_user_denied", unit, 0.95, sources, detail, of=box.pod.name, began=box.pod.created_at
        )


def _read_only(findings: Findings, unit: Unit) -> None:
    """Only a root that is declared read-only: a volume that is, is another fault."""
    scene = findings.scene
    closed = [box for box in unit.boxes if _security(box, "readOnlyRootFilesystem") is True]
    if not closed:
        return
    lines = [
        one
        for one in scene.grep(unit, ("read-only file", "erofs"), _READ_ONLY)
        if not any(mount_of(unit, path) for path in paths_in(one.text))
    ]
    if lines:
        where = (
            ", ".join(dict.fromkeys(path for one in lines[-1:] for path in paths_in(one.text))) or "a file"
        )
        sure = any(failing(scene, box) for box in closed)
        usual = scene.usual(unit, _READ_ONLY)
        detail = (
            f"container {closed[0].name} has readOnlyRootFilesystem and its program writes to {where}"
            f"{_quoted(lines)}"
        )
        confidence = USUAL if usual else 0.92 if sure else 0.65
        findings.found(
            "read_only_root_filesystem",
            unit,
            confidence,
            (closed[0].pod, lines[-1]),
            detail,
            of=unit.name,
            began=lines[0].at,
        )


def _denied(findings: Findings, unit: Unit) -> None:
    """Refused by the kernel because of the user that the template sets."""
    scene = findings.scene
    users = [box for box in unit.boxes if user_of(box) not in (None, 0)]
    if not users or not any(failing(scene, box) for box in users):
        return
    lines = scene.grep(unit, ("permission denied", "eacces", "not permitted"), _DENIED)
    lines = [one for one in lines if not any(mount_of(unit, path) for path in paths_in(one.text))]
    if not lines:
        return
    bind = next((one for one in lines if _BIND.search(one.text)), None)
    line = bind or lines[-1]
    changed = _user_changed(unit, users[0])
    what = "may not open a port below 1024" if bind else "may not use its files"
    detail = f"container {users[0].name} runs as user {user_of(users[0])} and {what}{_quoted([line])}"
    detail += "; the user was another one in the revision before" if changed else ""
    confidence = 0.88 if changed else (0.8 if bind else 0.65)
    findings.found(
        "run_as_user_denied", unit, confidence, (users[0].pod, line), detail, of=unit.name, began=line.at
    )


def _security(box: Box, key: str) -> object:
    own = mapping(box.spec.get("securityContext"))
    return own[key] if key in own else mapping(box.pod.at("spec", "securityContext")).get(key)


def user_of(box: Box) -> object:
    return _security(box, "runAsUser")


def _user_changed(unit: Unit, box: Box) -> bool:
    spec, before = earlier(unit, box.name)
    own = mapping(before.get("securityContext"))
    user = own.get("runAsUser", mapping(spec.get("securityContext")).get("runAsUser"))
    return bool(before) and user != user_of(box)


def paths_in(text: str) -> list[str]:
    return _PATH.findall(text)


def mount_of(unit: Unit, path: str) -> Mapping[str, object] | None:
    """The volume mount that a path lies in, the deepest one."""
    mounts = [
        mount
        for container in unit.all_containers
        for mount in objects(container.get("volumeMounts"))
        if path == (at := str(mount.get("mountPath")).rstrip("/")) or path.startswith(f"{at}/")
    ]
    return max(mounts, key=lambda one: len(str(one.get("mountPath"))), default=None)


def _fault(title: str, step: str, explains: frozenset[str] = frozenset()) -> Fault:
    return Fault(title=title, weight=1.0, explains=CRASHING | explains, spreads=CALLERS, steps=(step,))


FAULTS = {
    "bad_command": _fault(
        "its command cannot be run",
        "Correct command and args, or the image's entrypoint.",
        frozenset({"init_container_failed"}),
    ),
    "init_container_failed": Fault(
        title="an init container fails",
        weight=0.9,
        explains=DOWN | {"crashloop", "process_crash"},
        spreads=CALLERS,
        steps=("Read the init container's log: kubectl logs POD -c INIT.",),
    ),
    "read_only_root_filesystem": _fault(
        "it writes to a root filesystem that is read-only", "Mount an emptyDir where it writes."
    ),
    "run_as_user_denied": _fault(
        "it may not run as, or work as, its user",
        "Correct runAsUser, runAsNonRoot or the image's USER.",
        frozenset({"container_config"}),
    ),
}

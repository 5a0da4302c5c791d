"""Faults that come with another version: of a dependency, of an image."""

from __future__ import annotations

import re

from investigators.changes import tokens
from investigators.changes.diffs import Diff
from investigators.changes.mechanisms.base import (
    Hit,
    Mechanism,
    fits,
)

_DEPENDENCIES = re.compile(
    r"(?:^|/)(?:go\.(?:mod|sum)|package(?:-lock)?\.json|requirements[^/]*\.(?:txt|in)"
    r"|pyproject\.toml|poetry\.lock|Pipfile(?:\.lock)?|pom\.xml"
    r"|build\.gradle(?:\.kts)?|Cargo\.(?:toml|lock)|Gemfile(?:\.lock)?|composer\.json"
    r"|yarn\.lock|pnpm-lock\.yaml|[^/]+\.csproj|Chart\.ya?ml"
    r"|versions\.tf|mix\.exs|uv\.lock|libs\.versions\.toml)$"
)


_REQUIREMENT = re.compile(
    r"[\"']?([@A-Za-z][\w.\-/@]*(?::[\w.\-]+)?)[\"']?(?:\[[\w,]+\])?\s*(?:[=<>~^!:]{1,3}"
    r"|\s)\s*[\"'(]?[\^~>=<v]*\s*(\d+(?:\.\d+)+[\w.\-+]*)"
)


_TAG = re.compile(r"<(\w[\w.\-]*)>(\d+(?:\.\d+)+[\w.\-]*)</")


_IMAGE = re.compile(
    r"^\s*(?:FROM"
    r"|-?\s*image:)\s+[\"']?([\w.\-/:]+?)(?::([\w.\-]+))?(?:@\S+)?[\"']?(?:\s+[Aa][Ss]\s+\w+)?\s*$",
    re.M,
)


def _bumped(diff: Diff) -> Hit | None:
    """A dependency with another version, or without one; the larger the step the surer."""
    if not any(_DEPENDENCIES.search(file) for file in diff.files):
        return None
    before, after = _requirements(diff.removed), _requirements(diff.added)
    best: Hit | None = None
    for name, version in before.items():
        now = after.get(name)
        if now == version:
            continue
        sure = 0.9 if now is None else _step(version, now)
        told = f"{name} {version} → {now or 'gone'}"
        hit = Hit(strength=sure, what=told, names=_module_names(name) or (name,), unnamed=0.2)
        best = hit if best is None or hit.strength > best.strength else best
    if best is None:
        return None
    every = tuple(part for name in before if after.get(name) != before[name] for part in _module_names(name))
    return Hit(
        strength=best.strength, what=best.what, names=tuple(dict.fromkeys(every)), unnamed=best.unnamed
    )


def _requirements(lines: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for line in lines:
        if match := _TAG.search(line) or _REQUIREMENT.search(line):
            found[match[1].strip("\"'")] = match[2]
    return found


def _step(before: str, after: str) -> float:
    old, new = ([int(part) for part in re.findall(r"\d+", text)[:3]] for text in (before, after))
    if old[:1] != new[:1]:
        return 1.0
    return 0.9 if old[1:2] != new[1:2] and (old[0] == 0 or abs(new[1] - old[1]) >= 1) else 0.35


def _module_names(name: str) -> tuple[str, ...]:
    """What an error would call a module: the last part of its path that is no version, and its parts."""
    parts = [
        part
        for part in re.split(r"[/:@]", name)
        if part and not re.match(r"v\d+\Z", part) and "." not in part
    ]
    last = parts[-1:] or [name.rsplit("/", 1)[-1]]
    pieces = [piece for piece in re.split(r"[\-_.]", last[0]) if len(piece) > 3]
    # Errors speak of grpc or http whatever is at fault.
    return tuple(dict.fromkeys(name for name in (*last, *pieces) if tokens.words(name)))


def _base_image(diff: Diff) -> Hit | None:
    old, new = _IMAGE.search(diff.removed_text), _IMAGE.search(diff.added_text)
    if old is None or new is None or (old[1], old[2]) == (new[1], new[2]):
        return None
    return Hit(
        strength=0.9,
        what=f"{old[0].strip()} → {new[0].strip()}",
        names=(new[2] or new[1], new[1].rsplit("/", 1)[-1]),
        unnamed=0.7,
    )


_INSTALL = re.compile(
    r"(?:apt-get|apt|apk|yum|dnf|microdnf)\b.*\b(?:install|add)\b(?P<what>[^&|;\n]*)"
    r"|(?:pip3?|npm|yarn|gem|go|cargo)\s+(?:install|add|i)\b(?P<more>[^&|;\n]*)|^\s*(?:COPY|ADD)\s+(?P<copied>\S+)",
    re.M,
)


def _left_out(diff: Diff) -> Hit | None:
    gone = _installed(diff.removed_text) - _installed(diff.added_text)
    return (
        Hit(strength=0.95, what=", ".join(sorted(gone))[:60], names=tuple(sorted(gone)), unnamed=0.7)
        if gone
        else None
    )


def _installed(text: str) -> set[str]:
    found = " ".join(group for match in _INSTALL.finditer(text) for group in match.groups() if group)
    return {word for word in found.split() if not word.startswith("-")}


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        name="dependency_changed",
        says="brings another version of a dependency",
        detect=_bumped,
        explains=fits(
            "dependency_conflict 1, startup_crash 0.9, nil_dereference 0.5, "
            "deserialisation 0.7, tls 0.6, auth_rejected 0.6, memory 0.6, errors 0.5, "
            "latency 0.4, cpu 0.5, encoding 0.6, method_rejected 0.4, connection_refused 0.3"
        ),
    ),
    Mechanism(
        name="image_changed",
        says="runs on another image",
        detect=_base_image,
        explains=fits(
            "dependency_conflict 1, startup_crash 0.9, tls 0.6, permission 0.6, "
            "missing_setting 0.3, encoding 0.3"
        ),
    ),
    Mechanism(
        name="package_removed",
        says="leaves out what was installed or copied",
        detect=_left_out,
        explains=fits("dependency_conflict 1, startup_crash 0.9, missing_setting 0.4, tls 0.6"),
    ),
)

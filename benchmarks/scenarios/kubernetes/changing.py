"""What a rollout changes."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.scenarios.kubernetes.cluster import Doc
from benchmarks.scenarios.kubernetes.shop import container


def tagged(version: str) -> Callable[[Doc], None]:
    """Another tag."""

    def edit(template: Doc) -> None:
        one = container(template)
        one["image"] = f"{one['image'].rpartition(':')[0]}:{version}"

    return edit


def setting(name: str, value: str) -> Callable[[Doc], None]:
    """Another value of a variable."""

    def edit(template: Doc) -> None:
        env = container(template)["env"]
        env[:] = [one for one in env if one["name"] != name] + [{"name": name, "value": value}]

    return edit

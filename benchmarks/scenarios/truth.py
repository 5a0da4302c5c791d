"""What was broken: the content of expected.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """``kind`` "" leaves open what the object is called: it is right under any."""

    object: str
    fault: str
    kind: str = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """``culprit``: the id of a change, "none" where none is to blame, None where that is not judged."""

    causes: Sequence[Cause] = ()
    healthy: bool = False
    culprit: str | None = None
    forbidden: Sequence[Mapping[str, str]] = ()
    tags: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"healthy": self.healthy}
        if self.causes:
            found["causes"] = [
                {"object": one.object, **({"object_kind": one.kind} if one.kind else {}), "fault": one.fault}
                for one in self.causes
            ]
        if self.culprit is not None:
            found["culprit_change"] = None if self.culprit == "none" else self.culprit
        if self.forbidden:
            found["forbidden"] = [dict(one) for one in self.forbidden]
        found["tags"] = list(self.tags)
        return found

    def text(self) -> str:
        return yaml.safe_dump(self.document(), sort_keys=False, width=110)

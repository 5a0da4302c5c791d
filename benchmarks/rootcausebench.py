"""RootCauseBench: is the culprit change named, and is it seen when there is none?

Converts the incidents, judges each by the change rules alone, and prints the table and what each part of the
rules is worth.

    python -m benchmarks.rootcausebench --data DIR [--explain] [--leave-out]

``--leave-out`` asks how much hangs on single rules: each mechanism in turn is left out, and a case is listed
that is wrong without it. ``culprits withheld`` takes the culprit out of
the history: then nobody is to blame, and whoever is named is blamed wrongly.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.convert.rootcausebench import cases, convert
from benchmarks.convert.worlds import load
from investigators.changes.mechanisms import ALL
from investigators.changes.verdict import ChangeVerdict, Rules, suspects
from investigators.world.world import World

_ABLATIONS = (
    ("all rules", Rules()),
    ("tokens only", Rules(mechanisms=False, time=False, causes_without_change=False)),
    ("tokens and time", Rules(mechanisms=False, causes_without_change=False)),
    ("mechanisms only", Rules(tokens=False, time=False, causes_without_change=False)),
    ("no time rule", Rules(time=False)),
    ("no tokens", Rules(tokens=False)),
    ("no causes without change", Rules(causes_without_change=False)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """``culprit`` None: no change is to blame."""

    culprit: str | None
    decoys: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Cases counted: culprits named first and within three, absences seen, decoys named first."""

    first: int
    within_three: int
    culprits: int
    none_seen: int
    nones: int
    decoys_first: int
    cases: int

    def row(self, name: str) -> str:
        return (
            f"{name:26}  {self.first:>3}/{self.culprits}  {self.within_three:>4}/{self.culprits}"
            f"  {self.none_seen:>3}/{self.nones}  {self.decoys_first:>4}/{self.cases}"
        )


def truth(case: Path) -> Truth:
    told = json.loads((case / "expected.yaml").read_text())
    decoys = frozenset(one["culprit_change"] for one in told["forbidden"])
    return Truth(culprit=told["culprit_change"], decoys=decoys)


def judge(worlds: dict[str, World], rules: Rules) -> dict[str, ChangeVerdict]:
    return {name: suspects(world, world.now, rules) for name, world in worlds.items()}


def score(verdicts: dict[str, ChangeVerdict], truths: dict[str, Truth]) -> Score:
    first = within = none_seen = decoys = 0
    for name, verdict in verdicts.items():
        expected, named = truths[name], [one.change_id for one in verdict.suspects]
        if expected.culprit is None:
            none_seen += verdict.no_culprit is True
        else:
            first += named[:1] == [expected.culprit]
            within += expected.culprit in named[:3]
        decoys += bool(named) and named[0] in expected.decoys
    culprits = sum(one.culprit is not None for one in truths.values())
    return Score(
        first=first,
        within_three=within,
        culprits=culprits,
        none_seen=none_seen,
        nones=len(truths) - culprits,
        decoys_first=decoys,
        cases=len(truths),
    )


def withheld(worlds: dict[str, World], truths: dict[str, Truth]) -> tuple[int, int]:
    """How many of the cases with a culprit see, once it is taken out, that no change is to blame."""
    guilty = {name: one.culprit for name, one in truths.items() if one.culprit is not None}
    without = {
        name: replace(world, changes=tuple(c for c in world.changes if c.id != guilty[name]))
        for name, world in worlds.items()
        if name in guilty
    }
    return sum(one.no_culprit is True for one in judge(without, Rules()).values()), len(without)


def hanging(worlds: dict[str, World], truths: dict[str, Truth]) -> dict[str, list[str]]:
    """Cases that are wrong without one mechanism, with the mechanisms they hang on."""
    found: dict[str, list[str]] = {}
    for mechanism in ALL:
        verdicts = judge(worlds, Rules(without=frozenset((mechanism.name,))))
        for name, verdict in verdicts.items():
            if not _is_right(verdict, truths[name]):
                found.setdefault(name, []).append(mechanism.name)
    return found


def _is_right(verdict: ChangeVerdict, expected: Truth) -> bool:
    if expected.culprit is None:
        return verdict.no_culprit is True
    return [one.change_id for one in verdict.suspects[:1]] == [expected.culprit]


def _explain(name: str, verdict: ChangeVerdict, expected: Truth) -> None:
    print(f"{'right' if _is_right(verdict, expected) else 'WRONG'}  {name}: {verdict.reason or ''}")
    for one in verdict.suspects[:3]:
        mark = (
            "culprit"
            if one.change_id == expected.culprit
            else "decoy"
            if one.change_id in expected.decoys
            else ""
        )
        print(f"       {one.score:.2f} {one.change_id[:8]} {mark:8} {one.title[:60]}\n            {one.why}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the unpacked dataset")
    parser.add_argument("--leave-out", action="store_true", help="leave out each mechanism in turn")
    parser.add_argument("--explain", action="store_true", help="print each case's first three suspects")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = cases(given.data)
        for case in found:
            convert(case, Path(directory) / case.name)
        worlds = {case.name: load(Path(directory) / case.name) for case in found}
        truths = {case.name: truth(Path(directory) / case.name) for case in found}
    if not found:
        print(f"no incident below {given.data}", file=sys.stderr)
        return 1
    started = time.process_time()
    verdicts = judge(worlds, Rules())
    spent = (time.process_time() - started) / len(found)
    if given.explain:
        for name, verdict in verdicts.items():
            _explain(name, verdict, truths[name])
    print(f"{'':26}  first   in 3   none   decoy first")
    for name, rules in _ABLATIONS:
        print(score(judge(worlds, rules) if rules != Rules() else verdicts, truths).row(name))
    seen, all_of = withheld(worlds, truths)
    print(f"\nculprits withheld: {seen}/{all_of} see that nobody is to blame")
    if given.leave_out:
        for name, mechanisms in hanging(worlds, truths).items():
            print(f"hangs on one mechanism: {name} ({', '.join(mechanisms)})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{len(found)} incidents, {spent * 1000:.0f} ms of CPU each, {peak:.0f} MiB at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())

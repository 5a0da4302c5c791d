"""Accuracy on the public datasets: each converted, run by what ``assent eval`` runs, and run again with parts
left out, to see what each part is worth.

    python -m benchmarks.accuracy --data DIR [--only nezha] [--no-ablations]

``DIR`` holds the unpacked archives. The change rules' own ablations are in ``benchmarks.rootcausebench``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.convert import nezha, petshop, rootcausebench
from bot.evaluation.cases import CaseFile, find_cases
from bot.evaluation.report import Summary, summarise
from bot.evaluation.running import run_case, run_cases
from investigators.registry import Rules
from investigators.signals.locate import WITNESSES, Witness


def _rootcausebench(source: Path, target: Path) -> None:
    for case in rootcausebench.cases(source):
        rootcausebench.convert(case, target / case.name)


_SETS: Mapping[str, tuple[str, Callable[[Path, Path], object]]] = {
    "nezha": ("nezha-trainticket", nezha.convert),
    "petshop": ("petshop", petshop.convert),
    "rootcausebench": ("rootcausebench", _rootcausebench),
}
_SETTINGS: Mapping[str, Rules] = {
    "everything": Rules(),
    "nothing compared with healthy times": Rules(compare=frozenset()),
    "only series": Rules(compare=frozenset({Witness.SERIES})),
    "only time lost between services": Rules(compare=frozenset({Witness.DELAYS})),
    "only ways taken in code": Rules(compare=frozenset({Witness.BEHAVIOUR})),
    "only log lines": Rules(compare=frozenset({Witness.LINES})),
    "no series": Rules(compare=WITNESSES - {Witness.SERIES}),
    "no rules about the world": Rules(world=()),
    "no changes": Rules(blame_changes=False),
}
_WORTH: Mapping[str, Sequence[str]] = {
    "nezha": (
        "nothing compared with healthy times",
        "only time lost between services",
        "only ways taken in code",
        "only series",
        "only log lines",
        "no series",
        "no rules about the world",
    ),
    "petshop": ("nothing compared with healthy times", "no rules about the world"),
    "rootcausebench": ("no changes", "nothing compared with healthy times", "no rules about the world"),
}


def measure(name: str, data: Path, jobs: int, *, ablations: bool) -> None:
    folder, convert = _SETS[name]
    with tempfile.TemporaryDirectory() as scratch:
        convert(data / folder, Path(scratch))
        cases = find_cases(Path(scratch))
        print(f"\n{name}: {len(cases)} cases")
        print(_HEAD)
        settings = ("everything", *(_WORTH[name] if ablations else ()))
        for setting in settings:
            began = time.perf_counter()
            outcomes = run_cases(cases, jobs, partial(run_case, rules=_SETTINGS[setting]))
            wall = time.perf_counter() - began
            print(_row(setting, summarise(cases, outcomes), _healthy(cases), wall))


_HEAD = (
    "setting                              top-1          top-3          culprit        none   "
    "specificity    s/case  MiB   wall"
)


def _healthy(cases: Sequence[CaseFile]) -> int:
    return sum(case.expected is not None and case.expected.healthy for case in cases)


def _row(setting: str, summary: Summary, healthy: int, wall: float) -> str:
    """Healthy cases count for specificity only, as in the papers."""
    well = healthy - summary.false_alarms.right
    faults = summary.at_1.of - healthy
    first = f"{summary.at_1.right - well}/{faults} {_share(summary.at_1.right - well, faults)}"
    third = f"{summary.at_3.right - well}/{faults} {_share(summary.at_3.right - well, faults)}"
    culprit = f"{summary.culprits.right}/{summary.culprits.of}" if summary.culprits.of else "–"
    nobody = f"{summary.nobody.right}/{summary.nobody.of}" if summary.nobody.of else "–"
    specific = f"{well}/{healthy} {_share(well, healthy)}" if healthy else "–"
    return (
        f"{setting:36} {first:14} {third:14} {culprit:14} {nobody:6} {specific:14} "
        f"{summary.mean_seconds:6.2f} {summary.peak_bytes / 2**20:4.0f} {wall:5.0f} s"
    )


def _share(right: int, of: int) -> str:
    return f"{right / of:.3f}" if of else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the unpacked archives")
    parser.add_argument("--only", choices=sorted(_SETS), help="one dataset")
    parser.add_argument("--no-ablations", action="store_true", help="only the whole of it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else _SETS:
        measure(name, arguments.data, arguments.jobs, ablations=not arguments.no_ablations)


if __name__ == "__main__":
    main()

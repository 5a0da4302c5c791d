"""The committed scenarios keep the snapshot format, and the generated ones are what the generator writes."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchmarks.scenarios.kubernetes import write

SUITE = Path(__file__).parent
CASES = sorted(path.parent for path in SUITE.glob("*/alert.json"))
DOCS = SUITE.parents[1] / "docs"
KNOWN_KEYS = {"healthy", "causes", "culprit_change", "forbidden", "tags"}


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def files(case: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(case.rglob("*")):
        if path.is_file():
            yield path.relative_to(case).as_posix().removesuffix(".gz"), text_of(path)


def known_faults() -> set[str]:
    return {
        kind
        for page in ("faults.md", "faults-kubernetes.md", "faults-services.md")
        for row in (DOCS / page).read_text().splitlines()
        if row.startswith("|")
        for kind in re.findall(r"`([a-z_]+)`", row.split("|")[1])
    }


def test_there_are_at_least_forty_five_cases() -> None:
    assert len(CASES) >= 45


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_part_of_a_case_parses(case: Path) -> None:
    for name, text in files(case):
        if name.endswith(".json"):
            json.loads(text)
        elif name.endswith(".jsonl"):
            assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
        elif name.endswith(".yaml"):
            yaml.safe_load(text)
        elif name.endswith(".csv"):
            columns = next(csv.reader(text.splitlines()[:1]))
            assert columns[:3] == ["timestamp", "metric", "value"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_truth_has_only_known_keys_and_fault_kinds(case: Path) -> None:
    truth = yaml.safe_load((case / "expected.yaml").read_text())
    assert set(truth) <= KNOWN_KEYS
    assert truth["healthy"] or truth["causes"]
    assert {one["fault"] for one in truth.get("causes", ())} <= known_faults()


@pytest.mark.parametrize("name", write.names())
def test_the_generator_writes_the_committed_case_byte_for_byte(name: str, tmp_path: Path) -> None:
    made = write.case(name, tmp_path)
    assert dict(files(made)) == dict(files(SUITE / name))

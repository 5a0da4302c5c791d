"""Each case can be read whole, says a truth in known words, and is what its tool makes."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from adapters.alerts import parsers
from adapters.evidence.snapshot.snapshot import Part, Snapshot
from benchmarks.scenarios import recorded
from benchmarks.scenarios.box import record
from benchmarks.scenarios.kubernetes import write
from bot.evaluation.cases import CaseFile, find_cases
from config.schema import Limits
from tests.servers.prometheus import binary

SUITE = Path(__file__).parent
CASES = find_cases(SUITE)
GENERATED = write.names()
_LARGEST = 150_000
_KEYS = {"healthy", "causes", "culprit_change", "forbidden", "tags"}
_PARTS = re.compile(
    r"alert\.json|meta\.yaml|expected\.yaml|changes\.jsonl|topology\.json|metrics/\w+\.csv|logs/[\w-]+\.jsonl"
    r"|spans/\w+\.jsonl|hosts/box1/\w+\.json|kubernetes/\w+\.json|kubernetes/logs/.+\.log"
)
_OF_A_MACHINE = re.compile(r"(?<![\w./-])/(?:work|root|home|tmp)/")


def _files(case: Path) -> dict[str, bytes]:
    """Content by name, unpacked."""
    found = {}
    for path in sorted(case.rglob("*")):
        if path.is_file():
            data, name = path.read_bytes(), path.relative_to(case).as_posix()
            packed = name.endswith(".gz")
            found[name.removesuffix(".gz")] = gzip.decompress(data) if packed else data
    return found


def _known_faults() -> set[str]:
    """The kinds that a table of docs/faults*.md explains."""
    found: set[str] = set()
    for page in (SUITE.parents[1] / "docs").glob("faults*.md"):
        for line in page.read_text().splitlines():
            if line.startswith("| `"):
                found |= set(re.findall(r"`(\w+)`", line.split("|")[1]))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_part_of_a_case_can_be_read_whole(case: CaseFile) -> None:
    files = _files(case.path)
    assert [name for name in files if not _PARTS.fullmatch(name)] == []
    snapshot = Snapshot(case.path)
    batch = parsers(Limits())["alertmanager"](
        files["alert.json"], source="alertmanager", received_at=snapshot.now
    )
    assert batch.alerts
    assert all(parsed.alert.starts_at <= snapshot.now for parsed in batch.alerts)
    world = snapshot.main
    assert world.has(Part.KUBERNETES) or world.has(Part.HOSTS)
    assert world.tracks.get().all
    assert world.tracks.get().dropped == 0
    if world.has(Part.KUBERNETES):
        assert world.objects.get().of("Pod", None, None)
    if world.has(Part.TRACES):
        assert world.spans.get()
    if world.has(Part.CHANGES):
        assert world.changes.get()
    if world.has(Part.TOPOLOGY):
        assert world.graph.get()
    assert world.entries(records=True, pods=True)
    for host in world.hosts.get().names:
        for table in ("processes", "listening_ports", "exits", "log"):
            world.hosts.get().rows(host, table)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_truth_of_a_case_is_told_in_known_words(case: CaseFile) -> None:
    truth = yaml.safe_load((case.path / "expected.yaml").read_text())
    assert set(truth) <= _KEYS
    assert truth["tags"]
    assert truth["healthy"] == (not truth.get("causes"))
    faults = {
        one["fault"] for one in [*truth.get("causes", []), *truth.get("forbidden", [])] if "fault" in one
    }
    assert faults - _known_faults() == set()
    changes = (case.path / "changes.jsonl").exists()
    ids = [
        json.loads(line)["id"] for line in (case.path / "changes.jsonl").read_text().splitlines()
    ] if changes else []  # fmt: skip
    named = [truth.get("culprit_change"), *(one.get("culprit_change") for one in truth.get("forbidden", []))]
    assert [one for one in named if one is not None and one not in ids] == []
    if "culprit_change" in truth and truth["culprit_change"] is None:
        assert ids


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_small_and_says_nothing_of_the_machine_that_made_it(case: CaseFile) -> None:
    assert sum(path.stat().st_size for path in case.path.rglob("*") if path.is_file()) < _LARGEST
    for name, data in _files(case.path).items():
        assert _OF_A_MACHINE.search(data.decode()) is None, name


def test_the_suite_has_what_it_takes_to_be_wrong_in_many_ways() -> None:
    assert len(CASES) >= 45
    tags = Counter(tag for case in CASES if case.expected for tag in case.expected.tags)
    expected = [case.expected for case in CASES if case.expected]
    assert tags["recorded"] >= 22
    assert sum(one.healthy for one in expected) >= 6
    assert tags["red_herring"] >= 6
    assert tags["two_faults"] >= 4
    assert sum(one.judges_changes and one.culprit_change is not None for one in expected) >= 3
    assert sum(one.judges_changes and one.culprit_change is None for one in expected) >= 2
    families = {"admission", "scheduling", "start", "probes", "runtime", "service_path", "dependencies"}
    assert families | {"nodes", "performance", "control_plane"} <= set(tags)


def test_every_case_has_a_maker_and_every_maker_a_case() -> None:
    assert {case.name for case in CASES} == set(GENERATED) | set(recorded.scenarios())


@pytest.mark.parametrize("name", GENERATED)
def test_the_generator_makes_the_same_case_again_byte_for_byte(name: str, tmp_path: Path) -> None:
    assert _files(write.case(name, tmp_path)) == _files(SUITE / name)


@pytest.mark.real
async def test_a_real_crash_can_be_recorded(tmp_path: Path) -> None:
    for program in ("prometheus", "prometheus-alertmanager"):
        binary(program)
    made = await record("crash", recorded.scenarios()["process-segfault"], tmp_path, healthy=3)
    snapshot = Snapshot(made)
    (ended,) = snapshot.main.hosts.get().rows("box1", "exits")
    assert (ended["name"], ended["signal"]) == ("checkout", 11)
    (alive,) = snapshot.main.tracks.get().select("up", ())
    assert alive.values[0] == 1
    assert alive.values[-1] == 0
    alert = json.loads((made / "alert.json").read_text())
    assert alert["status"] == "firing"
    assert alert["commonLabels"]["service"] == "checkout"

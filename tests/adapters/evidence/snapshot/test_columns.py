"""Samples are the same however the lines of their series follow one another and wherever a block ends."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from random import Random

import pytest

from adapters.evidence.snapshot import columns
from adapters.evidence.snapshot.columns import Epochs, columns_of

HEADER = "timestamp,metric,value,pod,node"


def found(text: str) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    epochs = Epochs()
    series = {}
    for one in columns_of(text.encode()):
        _, metric, _, labels = one.line.split(",", 3)
        series[metric, labels.rstrip("\r")] = (list(epochs.of(one.moments)), one.values())
    return series


def expected(text: str) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    series: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for row in list(csv.reader(text.splitlines()))[1:]:
        if row:
            times, values = series.setdefault((row[1], ",".join(row[3:])), ([], []))
            times.append(float(row[0]))
            values.append(float(row[2] or "nan"))
    return series


def sample(random: Random) -> str:
    return random.choice(
        ["", "0", "-0.5", "1e-05", "12", "3.25", "1E3", "nan", "inf", " 7", "1_0", ".5", "+2"]
    )


def lines(random: Random, series: Sequence[str], times: Sequence[float]) -> list[str]:
    found = [f"{at},{name.replace('/', f',{sample(random)},', 1)}" for name in series for at in times]
    if random.random() < 0.3:
        found.sort()
    if random.random() < 0.3:
        del found[random.randrange(len(found))]
    return found


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [1, 60, 700, 5_000, 1 << 19])
def test_every_arrangement_gives_the_same_samples(
    monkeypatch: pytest.MonkeyPatch, block: int, end: str
) -> None:
    monkeypatch.setattr(columns, "_BLOCK", block)
    for seed in range(60):
        random = Random(seed)
        names = [f"{metric}/pod-{pod},né" for pod in range(4) for metric in ("cpu", "up", "5")]
        written: list[str] = []
        for _ in range(random.randint(1, 3)):
            begin, count = random.randint(0, 2) * 100, random.randint(1, 30)
            written += lines(random, names, [begin + 15.0 * step for step in range(count)])
            written += [""] * random.randint(0, 2)
        text = end.join([HEADER, *written]) + (end if end == "\r\n" else random.choice(["", end]))
        mine, other = found(text), expected(text)
        assert mine.keys() == other.keys()
        for key, (times, values) in other.items():
            assert mine[key][0] == times
            assert list(map(repr, mine[key][1])) == list(map(repr, values)), (seed, key)


@pytest.mark.parametrize("wrong", ["true", "null", "[1", "1]", "x", "1 2", "--1", "{}"])
def test_what_is_no_number_is_refused(wrong: str) -> None:
    text = "\n".join([HEADER, *(f"{at},up,1,p,n" for at in range(9)), f"9,up,{wrong},p,n", "10,up,1,p,n"])
    with pytest.raises(ValueError, match="could not convert"):
        found(text)


def test_a_missing_value_is_no_number_and_the_others_stay() -> None:
    assert [*map(math.isnan, found(f"{HEADER}\n1,up,,p,n\n2,up,3,p,n")["up", "p,n"][1])] == [True, False]

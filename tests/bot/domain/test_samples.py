"""Samples as columns behave as the tuple of samples that they stand for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter

from bot.domain.evidence import Evidence, Sample, Samples, Series

_START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_TIMES = tuple(_START + timedelta(minutes=minute) for minute in range(4))
_VALUES = (1.0, 2.5, 4.0, 8.0)
_COLUMNS = Samples(_TIMES, _VALUES)
_PLAIN = tuple(Sample(at=at, value=value) for at, value in zip(_TIMES, _VALUES, strict=True))


def test_they_are_equal_to_the_tuple_and_hash_alike() -> None:
    assert _COLUMNS == _PLAIN
    assert _PLAIN == _COLUMNS
    assert hash(_COLUMNS) == hash(_PLAIN)
    assert _PLAIN[:-1] != _COLUMNS
    assert Samples((), ()) == ()


@pytest.mark.parametrize("index", [0, -1, 2, slice(1, None), slice(-2, None), slice(4, None), slice(0, 3, 2)])
def test_an_index_or_a_slice_gives_what_the_tuple_gives(index: int | slice) -> None:
    assert _COLUMNS[index] == _PLAIN[index]


def test_iteration_truth_and_length_are_those_of_the_tuple() -> None:
    assert list(_COLUMNS) == list(_PLAIN)
    assert list(reversed(_COLUMNS)) == list(reversed(_PLAIN))
    assert len(_COLUMNS) == 4
    assert not Samples((), ())


@pytest.mark.parametrize("samples", [_COLUMNS, _PLAIN])
def test_a_series_gives_times_and_values_whatever_its_samples_are(samples: Samples) -> None:
    series = Series(name="up", labels={}, samples=samples)
    assert tuple(series.times) == _TIMES
    assert tuple(series.values) == _VALUES


def test_a_series_is_written_the_same_either_way_and_comes_back_equal() -> None:
    adapter = TypeAdapter(Series)
    columns = Series(name="up", labels={}, samples=_COLUMNS)
    plain = Series(name="up", labels={}, samples=_PLAIN)
    assert adapter.dump_json(columns) == adapter.dump_json(plain)
    assert adapter.validate_json(adapter.dump_json(columns)) == columns


def test_the_data_of_an_answer_is_not_in_its_representation() -> None:
    shown = {name for name, field in Evidence.__dataclass_fields__.items() if field.repr}
    assert shown.isdisjoint({"series", "lines", "records", "spans", "changes", "objects"})

"""Whatever is sent, the sender learns what was wrong and the rest is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.alerts import parsers
from bot.domain.batch import BodyError, BodyProblem, ParsedBatch
from config.schema import Limits

RECEIVED = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
SMALL = Limits(alerts=60, labels=16, label_value_bytes=64, annotation_value_bytes=128)
KINDS = ("alertmanager", "grafana", "generic")


def one(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "service": "checkout"},
        "annotations": {"summary": "s"},
        "startsAt": "2026-11-21T01:16:07.879Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "a52934cbf7b17321",
    } | changes


def body(*alerts: Any, **envelope: Any) -> bytes:
    return json.dumps(
        {"version": "4", "groupKey": "{}", "status": "firing", "alerts": alerts} | envelope
    ).encode()


def parse(raw: bytes, kind: str = "alertmanager", limits: Limits = SMALL) -> ParsedBatch:
    return parsers(limits)[kind](raw, source="prod", received_at=RECEIVED)


def refusal_of(raw: bytes, kind: str = "alertmanager") -> BodyError:
    with pytest.raises(BodyError) as caught:
        parse(raw, kind)
    return caught.value


def reason_of(raw: bytes, kind: str = "alertmanager") -> str:
    batch = parse(raw, kind)
    assert batch.alerts == ()
    assert len(batch.rejected) == 1
    return batch.rejected[0].reason or ""


def test_one_bad_alert_in_fifty_is_named_and_forty_nine_are_kept() -> None:
    alerts = [one(fingerprint=f"fp{n}") for n in range(50)]
    alerts[17] = one(labels={"alertname": "DiskFull", "port": 8080}, fingerprint="bad")
    batch = parse(body(*alerts))
    assert [parsed.index for parsed in batch.alerts] == [n for n in range(50) if n != 17]
    (rejected,) = batch.rejected
    assert (rejected.index, rejected.fingerprint) == (17, "bad")
    assert rejected.reason == 'alert 17 "DiskFull": labels.port: Input should be a valid string'


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (None, "valid dictionary"),
        ("text", "valid dictionary"),
        (one(labels=None), "labels: "),
        (one(labels={}), "labels: empty"),
        (one(labels=["a"]), "labels: "),
        (one(annotations={"summary": {"a": 1}}), "annotations.summary: "),
        (one(startsAt="yesterday"), "startsAt: "),
        (one(startsAt="2026-11-21T01:16:07"), "startsAt: Input should have timezone info"),
        (one(startsAt="9999-12-31T23:59:59-05:00"), "startsAt: not a time between"),
        (one(status="fring"), 'status: "fring" is neither firing nor resolved'),
        (one(status={"silencedBy": []}), "status"),
        (one(labels={"alertname": "A", "x": "a\0b"}), "labels.x: holds a NUL character"),
        (one(labels={"alertname": "A", "x\0": "ab"}), "a name in labels: holds a NUL character"),
        (one(annotations={"summary": "a\0b"}), "annotations.summary: holds a NUL character"),
        (one(annotations={"summary": "\ud800"}), "annotations.summary: not valid UTF-8 text"),
        (one(labels={"alertname": "A", "x": "y" * 65}), "labels.x: 65 bytes, the limit is 64 bytes"),
        (one(labels={"alertname": "A", "x": "é" * 40}), "labels.x: 80 bytes, the limit is 64 bytes"),
        (one(labels={"alertname": "A", "x" * 65: "y"}), "a name in labels: 65 bytes"),
        (one(annotations={"summary": "y" * 129}), "annotations.summary: 129 bytes"),
        (one(labels={f"l{n}": "v" for n in range(17)}), "labels: 17 of them, the limit is 16"),
        (one(generatorURL="http://" + "x" * 128), "the generator link: 135 bytes"),
        (one(fingerprint="f" * 257), "fingerprint: 257 bytes"),
    ],
)
def test_a_bad_alert_is_rejected_with_place_and_reason_and_its_neighbours_kept(bad: Any, reason: str) -> None:
    batch = parse(body(one(), bad, one(fingerprint="other")))
    assert [parsed.index for parsed in batch.alerts] == [0, 2]
    assert batch.rejected[0].index == 1
    assert reason in (batch.rejected[0].reason or "")


def test_a_hundred_thousand_labels_are_refused_by_count() -> None:
    bad = one(labels={f"label{n}": "v" for n in range(100_000)})
    batch = parse(body(one(), bad))
    assert len(batch.alerts) == 1
    assert "100000 of them" in (batch.rejected[0].reason or "")


def test_a_byte_that_is_not_utf8_costs_only_the_alert_it_is_in() -> None:
    raw = body(one(), one(annotations={"summary": "XX"}, fingerprint="second")).replace(b"XX", b"caf\xe9")
    batch = parse(raw)
    assert [parsed.index for parsed in batch.alerts] == [0]
    assert "annotations.summary: not valid UTF-8 text" in (batch.rejected[0].reason or "")
    (batch.rejected[0].reason or "").encode()


def test_a_name_that_is_not_utf8_can_still_be_told_to_the_sender() -> None:
    raw = body(one(labels={"alertname": "XX"})).replace(b"XX", b"\xff\xfe")
    reason_of(raw).encode()


def test_a_secret_in_a_rejected_alert_is_not_repeated_in_the_reason() -> None:
    reason = reason_of(body(one(labels={"alertname": "A", "password": 5, "n": "x"}, startsAt="hunter2")))
    assert "hunter2" not in reason


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b'{"alerts": [', "is not JSON: Expecting value at line 1 column 13"),
        (b'{"a": 1}\n{"b": 2}', "Extra data at line 2 column 1"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b'{"alerts": NaN}', "NaN is not a JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"alerts": ' + b"9" * 5000 + b"}", "not usable JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_the_position(kind: str, raw: bytes, told: str) -> None:
    refusal = refusal_of(raw, kind)
    assert refusal.problem is BodyProblem.MALFORMED
    assert told in str(refusal)


@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"[]", "a list"),
        (b"null", "null"),
        (b"17", "a number"),
        (b'"text"', "a string"),
        (b"true", "a boolean"),
        (b"{}", "no `alerts`"),
        (b'{"alerts": {}}', "`alerts` is an object"),
        (b'{"text": "High error rate", "channel": "#ops"}', "no `alerts`"),
    ],
)
def test_json_of_another_shape_is_refused_with_what_to_mend(kind: str, raw: bytes, told: str) -> None:
    refusal = refusal_of(raw, kind)
    assert refusal.problem is BodyProblem.UNUSABLE
    assert told in str(refusal)
    assert ("custom payload" if kind == "grafana" else "kind: generic") in str(refusal)


def test_a_group_body_sent_to_a_generic_source_says_which_kind_to_configure() -> None:
    assert "kind: alertmanager" in str(refusal_of(body(one()), "generic"))


@pytest.mark.parametrize(
    "envelope", [{"groupKey": 5}, {"groupKey": "g" * 129}, {"receiver": "a\0"}, {"groupKey": "\ud800"}]
)
def test_an_envelope_that_cannot_be_kept_refuses_the_body(envelope: dict[str, Any]) -> None:
    assert refusal_of(body(one(), **envelope)).problem is BodyProblem.UNUSABLE


@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
@pytest.mark.parametrize("bad_too", [False, True])
def test_more_alerts_than_the_limit_are_refused_with_both_numbers(kind: str, bad_too: bool) -> None:
    alerts = [one(fingerprint=f"fp{n}") for n in range(60)]
    refusal = refusal_of(body(*alerts, None if bad_too else one()), kind)
    assert refusal.problem is BodyProblem.TOO_LARGE
    assert "61 alerts" in str(refusal)
    assert "limit is 60" in str(refusal)


def test_an_empty_batch_is_an_empty_batch() -> None:
    batch = parse(body())
    assert (batch.alerts, batch.rejected) == ((), ())


def test_unknown_fields_are_ignored_everywhere() -> None:
    batch = parse(body(one(novel={"a": [1]}), novelty=5, commonLabels=7))
    assert len(batch.alerts) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(("alerts", "labels", "status", "alertname", "startsAt", "values", "x")),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(KINDS),
)
def test_any_json_is_parsed_rejected_or_refused_and_never_dropped(data: Any, kind: str) -> None:
    try:
        batch = parse(json.dumps(data).encode(), kind)
    except BodyError as refusal:
        str(refusal).encode()
        return
    sent = data["alerts"] if isinstance(data, dict) and kind != "generic" else data
    count = len(sent) if isinstance(sent, list) else 1
    indexes = [parsed.index for parsed in batch.alerts] + [result.index for result in batch.rejected]
    assert sorted(indexes) == list(range(count))
    for result in batch.rejected:
        (result.reason or "").encode()


@given(st.binary(max_size=300), st.sampled_from(KINDS))
def test_any_bytes_are_parsed_or_refused(raw: bytes, kind: str) -> None:
    try:
        parse(raw, kind)
    except BodyError as refusal:
        str(refusal).encode()

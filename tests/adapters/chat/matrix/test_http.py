"""What the server's answers become."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from adapters.chat.matrix.http import Refused, SessionEnded, check, path
from bot.domain.errors import Unavailable


def error(status: int, **document: object) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        check(status, json.dumps(document).encode())
    return caught.value


def test_a_good_answer_is_its_object() -> None:
    assert check(200, b'{"event_id": "$1"}') == {"event_id": "$1"}


def test_a_rate_limit_carries_the_servers_wish_within_reason() -> None:
    assert error(429, errcode="M_LIMIT_EXCEEDED", retry_after_ms=4200).retry_after == timedelta(seconds=4.2)
    assert error(429, errcode="M_LIMIT_EXCEEDED").retry_after == timedelta(seconds=5)
    assert error(429, retry_after_ms=10**15).retry_after == timedelta(minutes=10)


@pytest.mark.parametrize("errcode", ["M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED"])
def test_an_ended_session_is_told_from_every_other_error(errcode: str) -> None:
    assert isinstance(error(401, errcode=errcode, error="gone"), SessionEnded)


def test_a_refusal_names_its_code_and_a_broken_server_is_tried_again() -> None:
    refused = error(403, errcode="M_FORBIDDEN", error="not in room")
    assert isinstance(refused, Refused)
    assert (refused.errcode, refused.status) == ("M_FORBIDDEN", 403)
    assert not isinstance(error(502, errcode="M_UNKNOWN"), Refused)


@pytest.mark.parametrize("raw", [b"", b"<html>bad gateway</html>", b"[]", b"\xff\xfe", b'"text"'])
@pytest.mark.parametrize("status", [200, 429, 502])
def test_an_answer_that_is_not_an_object_is_unavailable(status: int, raw: bytes) -> None:
    with pytest.raises(Unavailable):
        check(status, raw)


def test_ids_cannot_leave_their_place_in_the_path() -> None:
    assert path("v3", "rooms", "!a/../b?c#d") == "/_matrix/client/v3/rooms/%21a%2F..%2Fb%3Fc%23d"

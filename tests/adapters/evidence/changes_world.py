"""A shop whose third commit broke it: the same history for every forge."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.evidence import Window
from tests.fakes.evidence import NOW
from tests.servers.history import Commit, History, sha

A, B, C, D = (sha(letter) for letter in "abcd")
WINDOW = Window(start=NOW - timedelta(hours=2), end=NOW)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def history() -> History:
    return History(
        commits=[
            Commit(sha=A, at=ago(5000), files={"cart/main.go": "@@ -1 +1 @@\n-a\n+b"}),
            Commit(
                sha=B,
                at=ago(700),
                message="Retry payments\n\nlonger text",
                author="grace",
                files={"payments/retry.go": "@@ -1 +1 @@\n-retries = 1\n+retries = 100"},
            ),
            Commit(
                sha=C,
                at=ago(600),
                message="Shrink the pool",
                files={
                    "cart/pool.yaml": "@@ -1 +1 @@\n-pool: 50\n+pool: 5",
                    "README.md": "@@ -1 +1 @@\n-x\n+y",
                },
            ),
            Commit(sha=D, at=ago(40), message="Not deployed", files={"cart/new.go": "@@ -0,0 +1 @@\n+new"}),
        ],
        tags={"v1": A, "v2": C},
    )

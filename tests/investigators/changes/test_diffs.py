"""Diffs as statements, numbers and settings."""

from __future__ import annotations

import re

import pytest

from investigators.changes.diffs import parse, statement
from investigators.changes.values import Tuned


def _only(diff: str, file: str = "a.txt") -> Tuned:
    (one,) = parse(diff, [file]).tuned
    return one


@pytest.mark.parametrize(
    ("diff", "before", "after"),
    [
        ("-\tWithTimeout(ctx, 5*time.Second)\n+\tWithTimeout(ctx, 300*time.Millisecond)\n", 5.0, 0.3),
        ("-timeout: 2m\n+timeout: 30s\n", 120.0, 30.0),
        ("-read-timeout: 2500ms\n+read-timeout: 250ms\n", 2.5, 0.25),
        ("-  memory: 2Gi\n+  memory: 512Mi\n", 2 * 2**30, 512 * 2**20),
        ("-  cpu: 500m\n+  cpu: 2\n", 0.5, 2.0),
        ("-x = timedelta(minutes=5)\n+x = timedelta(minutes=1)\n", 300.0, 60.0),
        ("-    Duration.ofSeconds(30)\n+    Duration.ofMillis(30)\n", 30.0, 0.03),
        ("-sample_rate: 0.1\n+sample_rate: 1.0\n", 0.1, 1.0),
        ('-  OPTS: "-Xmx2g"\n+  OPTS: "-Xmx512m"\n', 2 * 2**30, 512 * 2**20),
        ("-TTL = 60 * 60\n+TTL = 60\n", 3600.0, 60.0),
        ("-o := New(O{A: a, PoolSize: 64})\n+o := New(O{\n+\tA: a,\n+\tPoolSize: 4,\n+})\n", 64.0, 4.0),
    ],
)  # fmt: skip
def test_a_number_is_read_with_its_unit_wherever_it_stands(diff: str, before: float, after: float) -> None:
    one = _only(diff)

    assert (one.before, one.after) == (pytest.approx(before), pytest.approx(after))


def test_a_value_knows_what_it_is_nested_in_but_not_its_siblings() -> None:
    one = _only(
        '   resources:\n     limits:\n-      memory: 2Gi\n+      memory: 1Gi\n       cpu: "1"\n',
        "values.yaml",
    )

    assert "limits" in one.own
    assert "cpu" not in one.own


def test_a_setting_with_another_value_is_told_with_both() -> None:
    (one,) = parse("-  level: info\n+  level: debug\n", ["agent.yaml"]).switched

    assert (one.key, one.before, one.after) == ("level", "info", "debug")


def test_lines_that_only_moved_are_neither_gone_nor_new() -> None:
    diff = parse(
        "-a := open()\n-defer a.Close()\n+func helper() {\n+\ta := open()\n+\tdefer a.Close()\n+}\n", ["x.go"]
    )

    assert diff.lost(re.compile("Close")) == 0
    assert not diff.removed


@pytest.mark.parametrize(
    "file",
    [
        "docs/setup.md",
        "pkg/cart/cart_test.go",
        "tests/test_x.py",
        "web/main.css",
        "CODEOWNERS",
        "src/FooTest.java",
    ],
)
def test_what_never_runs_is_inert(file: str) -> None:
    assert parse("-if x == nil {\n+if true {\n", [file]).inert


def test_a_change_of_comments_only_is_inert() -> None:
    assert parse("-// checks x == nil\n+// checks nothing\n", ["x.go"]).inert


def test_a_commit_with_code_and_tests_is_read_without_the_tests() -> None:
    diff = parse("@@ a_test.go @@\n-mu.Lock()\n@@ a.go @@\n-x := 1\n+x := 2\n", ["a.go", "a_test.go"])

    assert not diff.inert
    assert diff.lost(re.compile("Lock")) == 0


def test_unified_and_loose_headers_name_the_file() -> None:
    unified = parse("--- a/svc/a.go\n+++ b/svc/a.go\n@@ -1,2 +1,2 @@ func F() {\n-x\n+y\n", [])
    loose = parse("@@ svc/a.go: func F() {\n-x\n+y\n", ["svc/a.go", "svc/b.go"])

    assert [hunk.file for hunk in (*unified.hunks, *loose.hunks)] == ["svc/a.go", "svc/a.go"]


def test_an_empty_diff_is_unknown_not_harmless() -> None:
    diff = parse("", ["svc/a.go"])

    assert not diff.known
    assert not diff.inert


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ('url := "http://x/y" // the peer', 'url := "http://x/y"'),
        ("# only words", ""),
        ("#include <x.h>", "#include <x.h>"),
        ("x = 1  # one", "x = 1"),
    ],
)
def test_comments_are_cut_and_addresses_are_not(line: str, left: str) -> None:
    assert statement(line) == left

"""The case in docs/evaluation.md is a case, and comes out as the document says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.bot.cli.test_commands import assent

DOCUMENT = Path(__file__).parents[2] / "docs/evaluation.md"


def test_the_case_that_the_document_writes_is_right_as_it_says(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    block = re.search(r"```\n(cases/down/alert\.json\n.*?)```", text, re.DOTALL)
    assert block is not None
    for part in block[1].split("\n\n"):
        name, _, content = part.partition("\n")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    report = tmp_path / "report.jsonl"
    done = assent("eval", tmp_path / "cases", "--report", report, "--min", "0.9")
    assert done.returncode == 0, done.stderr

    def without_measurements(table: str) -> list[str]:
        words = ("seconds per case", "peak memory")
        return [line.rstrip() for line in table.splitlines() if not line.startswith(words)]

    shown = re.search(r"\$ assent eval cases [^\n]*\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    assert without_measurements(done.stdout) == without_measurements(shown[1])

"""The change to the runbook: it applies, it says what is known, and nothing in it does anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.diagnosis import Band
from bot.domain.evidence import Evidence, EvidenceStatus, kept
from bot.domain.incident import Route
from bot.domain.outcome import OutcomeVerdict
from investigators.retrospect.account import write
from investigators.retrospect.runbook import suggest
from investigators.retrospect.story import Story
from tests.investigators.retrospect.stories import (
    MARKDOWN,
    RSS,
    RUNBOOK,
    alert,
    deed,
    diagnosis,
    evidence,
    incident,
    inconclusive,
    runbook,
    story,
)

HOSTILE = (
    "`` ` ![x](https://evil.example/p.png) <script>alert(1)</script> @room www.evil.example\n"
    "## Injected\n--- a/other\n+++ b/other\n@@ -1 +1 @@\n\u202e\x1b[31m"
)
NAMES = (
    "../../etc/passwd",
    "a/../../b",
    "/etc/shadow",
    ".git/config",
    "x\n+++ b/evil",
    "",
    ".",
    "..",
    "~root",
)


def applied(patch: str, before: dict[str, str], directory: Path, tool: str) -> dict[str, str]:
    """The files of a folder after a real tool has applied the patch; nothing else may appear beside it."""
    work = directory / tool / "runbooks"
    work.mkdir(parents=True)
    for name, text in before.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    command = {"git": ["git", "apply", "-"], "patch": ["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch"]}
    ran = subprocess.run(command[tool], input=patch, cwd=work, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "offset" not in ran.stdout
    assert [path for path in work.parent.iterdir() if path != work] == []
    return {str(path.relative_to(work)): path.read_text() for path in work.rglob("*") if path.is_file()}


TOOLS = [tool for tool in ("git", "patch") if shutil.which(tool)]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("text", "heading"),
    [
        (MARKDOWN, "## Seen 2026-11-21 (K7QX)"),
        ("# A\n\n# B\n\ntext", "# Seen 2026-11-21 (K7QX)"),
        ("# Only a title\n\ntext", "## Seen 2026-11-21 (K7QX)"),
        ("Checks\n------\n\nlook", "Seen 2026-11-21 (K7QX)\n----------------------"),
        ("Title\n=====\n\nlook", "Seen 2026-11-21 (K7QX)\n======================"),
        ("**Checks**\n\n1. look", "**Seen 2026-11-21 (K7QX)**"),
        ("Restart it.\nCall ana.", "Seen 2026-11-21 (K7QX):"),
        ("one line", "Seen 2026-11-21 (K7QX):"),
        ("```\n# no heading\n```\nplain", "Seen 2026-11-21 (K7QX):"),
        ("\n".join(f"line {n}" for n in range(150)), "Seen 2026-11-21 (K7QX):"),
        ("\n".join(f"line {n} " + "x" * 90 for n in range(150)), "Seen 2026-11-21 (K7QX):"),
        ("… 7 characters left out …\nas a runbook may say", "Seen 2026-11-21 (K7QX):"),
    ],
)
def test_the_patch_applies_to_the_runbook_that_was_read(
    tmp_path: Path, tool: str, text: str, heading: str
) -> None:
    made = write(story(evidence=(evidence(), kept(runbook(text))), deeds=(deed(),)))
    assert made.runbook_patch is not None, made.runbook_reason
    files = applied(made.runbook_patch, {"cart.md": f"{text}\n"}, tmp_path, tool)
    assert files == {"cart.md": f"{text}\n\n{made.runbook_section}"}
    assert made.runbook_section.startswith(f"{heading}\n\n- Symptom: ")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_service_without_a_runbook_gets_one(tmp_path: Path, tool: str) -> None:
    made = write(story(deeds=(deed(),)))
    assert made.runbook_patch is not None
    files = applied(made.runbook_patch, {}, tmp_path, tool)
    assert files == {"cart.md": f"# cart\n\n{made.runbook_section}"}


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            story(deeds=(deed(),)),
            [
                "- Symptom: `MemoryHigh: MemoryHigh on cart`, for 42 min",
                "- Cause: `cart: memory keeps growing` (confidence high)",
                "- What helped: `process.restart` of `cart`, seen to help",
                '- How to check: ask `prometheus` for `process_resident_memory_bytes{job="cart"}`; '
                "then it said `rss 80 MiB → 900 MiB`",
            ],
        ),
        (story(deeds=(deed(OutcomeVerdict.FAILED),)), ["not `process.restart` of `cart`, which was tried"]),
        (story(deeds=(deed(None),)), ["perhaps `process.restart` of `cart`, which was run"]),
        (story(), ["- What helped: not known; the alerts resolved without an action of the bot"]),
        (story(diagnoses=(inconclusive(),)), ["- Cause: not found"]),
    ],
)
def test_the_section_goes_from_symptom_to_how_to_check(told: Story, says: list[str]) -> None:
    section = write(told).runbook_section
    for line in says:
        assert line in section


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (runbook(reason="only the first 256 KiB were read"), "only a part of the runbook was read"),
        (runbook("\n".join(["x"] * 300)), "longer than what is kept of it"),
        (runbook("\n".join(["long " * 200, *["x" * 90] * 60])), "longer than what is kept of it"),
        (runbook(records=({"format": "html"},)), "is a web page"),
        (runbook(query="cart.html"), "is a web page"),
        (
            evidence(
                RUNBOOK, "", kind="runbook.text", status=EvidenceStatus.FAILED, reason="it is not there"
            ),
            "could not be read: it is not there",
        ),
        (runbook("a\nb\nlogin with password=[redacted:secret]"), "was redacted when it was read"),
        (runbook(f"{MARKDOWN}\n\n## Seen 2026-11-21 (K7QX)"), "names this incident already"),
    ],
)
def test_there_is_no_patch_against_a_text_that_is_not_the_whole_runbook(read: Evidence, reason: str) -> None:
    made = suggest(story(evidence=(kept(read),)))
    assert made.patch is None
    assert reason in made.reason
    assert "- Symptom: " in made.section


@pytest.mark.parametrize("where", ["route", "alert"])
def test_a_runbook_that_nobody_read_is_not_written_anew(where: str) -> None:
    told = story(incident=incident(route=Route(name="r", runbook_url="https://wiki.example/cart")))
    if where == "alert":
        named = alert()
        object.__setattr__(named, "links", {"runbook": "https://wiki.example/cart"})
        told = story(alerts=(named,))
    made = suggest(told)
    assert (made.patch, made.reason) == (None, "the alert names a runbook, and it was not read")


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_out_of_the_folder_of_runbooks(tmp_path: Path, name: str) -> None:
    for told in (
        story(incident=incident(service=name or None)),
        story(incident=incident(service=name), evidence=(runbook(query=name),)),
        story(evidence=(runbook(query=f"https://wiki.example/{name}"),)),
    ):
        patch = write(told).runbook_patch
        assert patch is not None
        headers = re.findall(r"^\+\+\+ .*$", patch, re.MULTILINE)
        assert len(headers) == 1
        assert re.fullmatch(
            r"\+\+\+ b/[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", headers[0]
        )
        assert ".." not in headers[0]
        assert "/.git" not in headers[0]


def test_a_runbook_of_a_folder_keeps_its_place_in_it() -> None:
    patch = write(story(evidence=(runbook(query="shop/cart.md#checks"),))).runbook_patch
    assert patch is not None
    assert patch.startswith("--- a/shop/cart.md\n+++ b/shop/cart.md\n")


@pytest.mark.parametrize("tool", TOOLS)
def test_hostile_text_is_inert_in_the_runbook(tmp_path: Path, tool: str) -> None:
    told = story(
        incident=incident(title=HOSTILE, service=HOSTILE),
        diagnoses=(diagnosis(root_cause=HOSTILE),),
        evidence=(evidence(RSS, HOSTILE, query=HOSTILE, source=HOSTILE, outsider_writable=True), runbook()),
        deeds=(deed(action=HOSTILE, target=HOSTILE),),
    )
    made = write(told)
    assert made.runbook_patch is not None
    files = applied(made.runbook_patch, {"cart.md": f"{MARKDOWN}\n"}, tmp_path, tool)
    assert list(files) == ["cart.md"]
    section = files["cart.md"].removeprefix(f"{MARKDOWN}\n\n")
    for line in section.splitlines()[2:]:
        assert line.startswith("- ")
        # Whatever stands outside a code span is the bot's own.
        outside = re.sub(r"`[^`]*`", "", line)
        assert not re.search(r"[<>\[\]!#@`]|evil", outside), outside
    assert "://" not in section
    assert "\u202e" not in section
    assert "\x1b" not in section


def test_no_secret_of_an_alert_or_a_log_is_suggested_for_a_runbook() -> None:
    canary = "hunter2canary9f3e"
    said = f"password={canary}"
    told = story(
        incident=incident(title=said),
        diagnoses=(diagnosis(root_cause=said),),
        evidence=(evidence(RSS, said, query=said), runbook()),
    )
    made = write(told)
    assert canary not in repr(made)
    assert "[redacted:secret]" in made.runbook_section


def test_only_a_few_words_of_what_an_outsider_wrote_are_quoted() -> None:
    words = "connect refused " * 60
    told = story(
        diagnoses=(diagnosis(citations=()),),
        evidence=(evidence(RSS, words, outsider_writable=True, source="loki", query="{app=cart}"),),
    )
    quoted = write(told).runbook_section.partition("then it said ")[2].split("\n")[0]
    assert 100 < len(quoted) <= 122


text = st.text(max_size=400)


@given(title=text, cause=text, service=text, query=text, body=text)
def test_whatever_is_written_anywhere_the_patch_has_one_file_and_adds_only(
    title: str, cause: str, service: str, query: str, body: str
) -> None:
    told = story(
        incident=incident(title=title, service=service),
        diagnoses=(diagnosis(root_cause=cause, band=Band.LOW),),
        evidence=(evidence(RSS, body, query=query), runbook()),
    )
    made = write(told)
    patch = made.runbook_patch
    assert patch is not None
    head, rest = patch.split("\n")[:3], patch.split("\n")[3:-1]
    assert [line[:4] for line in head] == ["--- ", "+++ ", "@@ -"]
    assert {line[:1] for line in rest} <= {" ", "+"}
    assert "".join(f"{line[1:]}\n" for line in rest if line[:1] == "+") == f"\n{made.runbook_section}"

"""What a change did, as text: small enough, small files whole, and without secrets wherever it is cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.changes.diffs import (
    DIFF_BYTES,
    MAX_FILES,
    FilePatch,
    diff_text,
    file_names,
    redact_patch,
)

CANARY = "hunter2hunter2"


def test_small_files_are_whole_beside_a_large_one() -> None:
    large = FilePatch(path="large.json", patch="+x\n" * 50_000)
    small = [FilePatch(path=f"small{n}.py", patch=f"+small {n}") for n in range(5)]
    text = diff_text([large, *small])
    assert len(text.encode()) <= DIFF_BYTES
    assert len(text.encode()) > DIFF_BYTES * 0.95
    assert all(f"+small {n}" in text for n in range(5))
    assert text.index("large.json") < text.index("small0.py")
    assert "… left out …" in text


def test_a_rename_is_told_even_without_a_patch() -> None:
    assert diff_text([FilePatch(path="new.py", renamed_from="old.py")]) == "--- a/old.py\n+++ b/new.py"


def test_more_files_than_are_kept_are_left_out() -> None:
    patches = [FilePatch(path=f"f{n}", patch="+x") for n in range(MAX_FILES + 50)]
    assert len(file_names(patches)) == MAX_FILES
    assert len(diff_text(patches).encode()) <= DIFF_BYTES


@given(
    patches=st.lists(
        st.builds(
            FilePatch,
            path=st.text(min_size=1, max_size=50),
            patch=st.text(max_size=200),
            renamed_from=st.text(max_size=10),
        ),
        max_size=12,
    ),
    times=st.sampled_from([1, 40, 900]),
)
def test_a_diff_is_never_longer_than_it_may_be(patches: list[FilePatch], times: int) -> None:
    grown = [replace(one, patch=one.patch * times) for one in patches]
    assert len(diff_text(grown).encode()) <= DIFF_BYTES


@pytest.mark.parametrize("marker", ["+", "-", " "])
@pytest.mark.parametrize(
    "lines",
    [
        [f"password: {CANARY}"],
        ["password: |", f"  {CANARY}"],
        ["  - api_key: >-", f"      {CANARY}", "", f"      {CANARY}"],
        ['"token": |', f"  {CANARY}"],
        ["-----BEGIN OPENSSH PRIVATE KEY-----", CANARY, "-----END OPENSSH PRIVATE KEY-----"],
        ["    -----BEGIN PRIVATE KEY-----", f"    {CANARY}"],
        [f"export DB_PASSWORD='{CANARY}'"],
        [f"url: postgres://u:{CANARY}@db/x"],
    ],
)
def test_a_secret_is_taken_out_behind_every_marker(marker: str, lines: list[str]) -> None:
    patch = (
        "@@ -1,9 +1,9 @@\n" + "\n".join(f"{marker}{line}" for line in lines) + "\n@@ -30 +30 @@\n+replicas: 3"
    )
    redacted = redact_patch(patch)
    assert CANARY not in redacted
    assert redacted.startswith("@@ -1,9 +1,9 @@\n")
    assert redacted.endswith("@@ -30 +30 @@\n+replicas: 3")
    assert redact_patch(redacted) == redacted


def test_a_block_whose_lines_have_different_markers_is_taken_out_whole() -> None:
    patch = f" password: |\n-  {CANARY}-old\n+  {CANARY}-new\n   {CANARY}\n next: |\n   kept"
    assert redact_patch(patch) == (
        " password: |\n-[redacted:secret]\n+[redacted:secret]\n [redacted:secret]\n next: |\n   kept"
    )


def test_what_is_no_secret_stays_as_it_is() -> None:
    patch = "@@ -1,2 +1,3 @@\n image: shop:v1\n-pool: 50\n+pool: 5\n+script: |\n+  run"
    assert redact_patch(patch) == patch


def test_a_secret_that_lies_across_the_cut_does_not_come_through() -> None:
    for room in range(0, 120, 7):
        patch = "+x\n" * ((DIFF_BYTES - 60 - room) // 3) + f"+password: {CANARY}\n" + "+x\n" * 20_000
        assert CANARY[:6] not in diff_text([FilePatch(path="a", patch=patch)])


@pytest.mark.parametrize(
    "path",
    ["a/.env", "prod.env", ".env.local", "tls/server.key", "x.pem", "k8s/db-secrets.yaml", "id_ed25519"],
)
def test_a_file_that_is_made_of_secrets_keeps_its_name_only(path: str) -> None:
    text = diff_text([FilePatch(path=path, patch=f"+{CANARY}")])
    assert text == f"--- a/{path}\n+++ b/{path}\n[redacted:secret-file]"


@pytest.mark.parametrize("path", ["a/environment.py", "keyboard.ts", "secret_santa.py", "env.go"])
def test_a_file_that_only_sounds_like_one_is_shown(path: str) -> None:
    assert "+shown" in diff_text([FilePatch(path=path, patch="+shown")])

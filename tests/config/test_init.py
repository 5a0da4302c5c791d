"""What ``assent init`` writes loads as it is, keeps its secrets and overwrites nothing by accident."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.init import example, write_initial
from config.loader import read

SECRETS = Path(__file__).parent / "secrets"
SIGNING_KEY = (SECRETS / "signing-key.pem").read_text()
EXAMPLE = Path(__file__).parents[2] / "config" / "example.yaml"


def test_the_written_file_loads_without_a_warning(tmp_path: Path) -> None:
    written = write_initial(tmp_path, signing_key=SIGNING_KEY)
    loaded = read(tmp_path / "assent.yaml", {}, known_actions={"process.restart"})
    assert loaded.warnings == ()
    assert loaded.config.chat.console is not None
    assert loaded.config.chat.matrix is None
    assert loaded.config.execution.enabled is False
    assert [path.name for path in written] == ["assent.yaml", "webhook-token", "signing-key.pem"]


def test_with_matrix_only_the_password_is_wanting(tmp_path: Path) -> None:
    write_initial(tmp_path, signing_key=SIGNING_KEY, matrix=True)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "assent.yaml", {})
    assert len(caught.value.problems) == 1
    assert "ASSENT_MATRIX_PASSWORD is not set" in str(caught.value)
    loaded = read(tmp_path / "assent.yaml", {"ASSENT_MATRIX_PASSWORD": "hunter2"})
    assert loaded.warnings == ()
    assert loaded.config.chat.console is None
    assert loaded.config.chat.matrix is not None
    assert loaded.config.people[0].matrix == "@you:example.org"


def test_the_shipped_example_itself_loads(tmp_path: Path) -> None:
    write_initial(tmp_path, signing_key=SIGNING_KEY)
    shutil.copy(EXAMPLE, tmp_path / "example.yaml")
    assert read(tmp_path / "example.yaml", {}).warnings == ()


@pytest.mark.parametrize("matrix", [False, True])
def test_what_is_written_shows_no_trace_of_the_template(matrix: bool) -> None:
    text = example(matrix=matrix)
    assert ">>>" not in text
    assert "<<<" not in text


def test_every_commented_example_in_the_file_is_right(tmp_path: Path) -> None:
    """Somebody will uncomment them. Keys that only differ in being commented must load too."""
    write_initial(tmp_path, signing_key=SIGNING_KEY)
    uncommented = []
    for line in example(matrix=False).splitlines():
        stripped = line.lstrip()
        body = stripped.removeprefix("# ")
        looks_like_yaml = body.startswith(("- ", "  ")) or body.rstrip().endswith(":") or ": " in body
        prose = body[:1].isupper() or "webhook" in body or "http_config" in body or line.startswith("# ")
        if stripped.startswith("# ") and looks_like_yaml and not prose:
            line = line[: len(line) - len(stripped)] + body
        uncommented.append(line)
    text = "\n".join(uncommented).replace(
        "  console: {}\n  rooms:\n    - name: incidents\n      console: true\n", ""
    )
    text = text.replace("enabled: false", "enabled: true").replace("    console: you\n", "")
    (tmp_path / "assent.yaml").write_text(text)
    environ = {
        "ASSENT_MATRIX_PASSWORD": "hunter2",
        "ASSENT_SEQ_API_KEY": "hunter2",
        "GRAFANA_WEBHOOK_SECRET": "0123456789abcdef0123",
    }
    environ |= dict.fromkeys(
        ("GITHUB_TOKEN", "FLEET_TOKEN", "GRAFANA_TOKEN", "JIRA_TOKEN"), "0123456789abcdef0123"
    )
    config = read(tmp_path / "assent.yaml", environ).config
    assert [source.name for source in config.sources] == ["alertmanager", "grafana"]
    assert [rule.name for rule in config.routes] == ["tests", "database"]
    assert config.execution.processes[0].name == "shop"
    assert config.execution.alertmanager is not None
    assert config.evidence.prometheus
    assert config.evidence.github[0].repositories[0].service == "shop"
    assert config.evidence.fleet
    assert config.evidence.jira
    assert config.evidence.runbooks is not None
    assert config.grouping.heartbeats[0].missing_after is not None


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    write_initial(tmp_path, signing_key=SIGNING_KEY)
    for name in ("webhook-token", "signing-key.pem"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_two_installations_share_no_token(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_initial(tmp_path / name, signing_key=SIGNING_KEY)
    tokens = {(tmp_path / name / "data" / "webhook-token").read_text() for name in ("one", "two")}
    assert len(tokens) == 2


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "assent.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="exists already; edit it, or replace it with --force"):
        write_initial(tmp_path, signing_key=SIGNING_KEY)
    assert (tmp_path / "assent.yaml").read_text() == "mine"
    assert not (tmp_path / "data").exists()


def test_force_replaces_the_file_and_never_a_secret(tmp_path: Path) -> None:
    write_initial(tmp_path, signing_key=SIGNING_KEY)
    token = (tmp_path / "data" / "webhook-token").read_text()
    (tmp_path / "assent.yaml").write_text("mine")
    written = write_initial(tmp_path, signing_key="another key", force=True)
    assert [path.name for path in written] == ["assent.yaml"]
    assert (tmp_path / "data" / "webhook-token").read_text() == token
    assert (tmp_path / "data" / "signing-key.pem").read_text() == SIGNING_KEY


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(
        ConfigError, match=r"data: \(file\): cannot be written: .*; choose a folder of your own"
    ):
        write_initial(tmp_path, signing_key=SIGNING_KEY)

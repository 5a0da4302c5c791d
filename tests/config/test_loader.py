"""The loader: the corpus of bad files, secrets, environment, paths."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from config.dump import config_digest, to_redacted_yaml
from config.errors import ConfigError
from config.loader import Loaded, load, loads, read
from config.schema import Config
from config.types import MASK, format_duration, parse_duration

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))
GOOD = sorted((HERE / "good").glob("*.yaml"))
CANARY = "hunter2"
ACTIONS = frozenset({"process.restart", "alertmanager.silence"})
ENVIRON = {
    "ASSENT_TOKEN": f"{CANARY}-{CANARY}-{CANARY}",
    "ASSENT_PORT": CANARY,
    "ASSENT_EMPTY": "",
    "ASSENT_PUBLIC_KEY": (HERE / "secrets" / "public-key.pem").read_text(),
}
SMALLEST = (HERE / "good" / "smallest.yaml").read_text()


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(path, ENVIRON, known_actions=ACTIONS)
    return [str(problem).replace(str(HERE), "$HERE") for problem in caught.value.problems]


def refused(text: str, environ: dict[str, str] | None = None, base: Path = HERE) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(text, environ or {}, base=base)
    return str(caught.value)


def with_bearer(line: str) -> str:
    return SMALLEST.replace("unauthenticated: true", line)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_line_reason_and_remedy(path: Path) -> None:
    name = f"$HERE/bad/{path.name}:"
    expected = re.findall(r"^# expect: (.+)$", path.read_text(), re.MULTILINE)
    assert expected
    assert problems_of(path) == [name + line for line in expected]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_problem_points_at_a_line_that_holds_the_key_or_its_section(path: Path) -> None:
    lines = path.read_text().splitlines()
    with pytest.raises(ConfigError) as caught:
        read(path, ENVIRON, known_actions=ACTIONS)
    for problem in caught.value.problems:
        assert problem.reason
        assert problem.remedy
        assert problem.line is not None
        keys = re.findall(r"[^.\[\]]+", problem.path)
        text = "\n".join(lines[: problem.line])
        known = [key for key in keys if not key.isdigit() and key in text]
        assert problem.path == "(file)" or len(keys) == 1 or known


def test_the_corpus_is_large_enough_to_be_one() -> None:
    assert len(BAD) >= 100


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_no_problem_repeats_a_secret(path: Path) -> None:
    assert CANARY not in "\n".join(problems_of(path))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_loads_without_warnings_but_for_readable_secrets(path: Path) -> None:
    loaded = read(path, {**ENVIRON, "ASSENT_PORT": "9000"}, known_actions=ACTIONS)
    assert [line for line in loaded.warnings if "is readable by every user" not in line] == []


def everything() -> Config:
    return load(HERE / "good" / "everything.yaml", {**ENVIRON, "ASSENT_PORT": "9000"}, known_actions=ACTIONS)


def test_values_come_from_the_environment_from_files_and_from_defaults() -> None:
    config = everything()
    assert config.listen.port == 9000
    without_port = {key: value for key, value in ENVIRON.items() if key != "ASSENT_PORT"}
    assert load(HERE / "good" / "everything.yaml", without_port).listen.port == 9780
    bearer = config.sources[0].auth.bearer
    assert bearer is not None
    assert bearer.get_secret_value() == "hunter2hunter2hunter2"
    assert config.routes[1].match_re["job"] == "${literal}"


def test_paths_are_relative_to_the_file() -> None:
    config = everything()
    assert config.data_dir == HERE / "good" / "../secrets/data"
    assert config.policy.directory == HERE / "good" / "rego"


def test_the_file_covers_every_key_of_every_section() -> None:
    """``everything.yaml`` is the proof that each key can be given; a new key must be added to it."""
    config = everything()
    assert set(config.model_fields_set) == set(Config.model_fields)
    for section in (config.limits, config.grouping, config.evidence, config.chat, config.policy):
        assert section.model_fields_set == set(type(section).model_fields), type(section).__name__


def test_a_secret_file_loses_exactly_one_line_end(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_bytes(b"0123456789abcdef0123\r\n")
    secret.chmod(0o600)
    config = loads(with_bearer(f"bearer_file: {secret}"), {})
    bearer = config.sources[0].auth.bearer
    assert bearer is not None
    assert bearer.get_secret_value() == "0123456789abcdef0123"
    secret.write_bytes(b"0123456789abcdef0123\n\n")
    assert "no spaces or line ends" in refused(with_bearer(f"bearer_file: {secret}"))


def test_servers_of_tools_that_no_model_could_use_are_warned_of(tmp_path: Path) -> None:
    mcp = (
        "evidence:\n  mcp:\n    - {name: wiki, transport: http, url: 'https://wiki.example', tools: [look]}\n"
    )
    file = tmp_path / "assent.yaml"
    file.write_text(SMALLEST + mcp)
    (warning,) = read(file, {}).warnings
    assert "evidence.mcp: is for a model only, and there is none" in warning
    file.write_text(SMALLEST + mcp + "model: {api_key: sk-ant-0123456789}\n")
    assert not [one for one in read(file, {}).warnings if "evidence.mcp" in one]


def loaded_with(tmp_path: Path, mode: int) -> Loaded:
    secret = tmp_path / "token"
    secret.write_text("0123456789abcdef0123")
    secret.chmod(mode)
    file = tmp_path / "assent.yaml"
    file.write_text(with_bearer("bearer_file: token"))
    return read(file, {})


def test_a_secret_file_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    assert loaded_with(tmp_path, 0o600).warnings == ()
    (warning,) = loaded_with(tmp_path, 0o644).warnings
    assert warning == (
        f"{tmp_path}/assent.yaml:3: sources[0].auth.bearer_file: {tmp_path}/token is readable by every user "
        f"of this machine; run: chmod 600 {tmp_path}/token"
    )


def test_a_short_webhook_secret_is_warned_of_and_not_shown() -> None:
    file = HERE / "good" / "smallest.yaml"
    assert read(file, {}).warnings == ()
    config = loads(with_bearer("bearer: hunter2"), {})
    assert config.sources[0].auth.bearer is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe", "is not UTF-8 text"), (b" \n", "is empty"), (b"x" * 70_000, "is over 65536 bytes")],
)
def test_a_secret_file_that_cannot_be_a_secret_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "token").write_bytes(content)
    assert said in refused(with_bearer("bearer_file: token"), base=tmp_path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory; .*assent init"):
        load(tmp_path / "assent.yaml", {})


def test_bytes_that_are_not_utf8_are_found_by_line(tmp_path: Path) -> None:
    (tmp_path / "assent.yaml").write_bytes(b"version: 1\ninstance: \xff\n")
    with pytest.raises(ConfigError, match=r"assent\.yaml:2: \(file\): is not UTF-8 text"):
        load(tmp_path / "assent.yaml", {})


def test_a_control_character_is_found_by_line() -> None:
    assert "<text>:2: (file): character #x0007" in refused("version: 1\ninstance: a\x07\n")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "assent.yaml").write_bytes(b"\xef\xbb\xbf" + SMALLEST.encode())
    assert load(tmp_path / "assent.yaml", {}).version == 1


def test_nested_aliases_cannot_blow_up() -> None:
    lines = ["a: &a [1,1,1,1,1,1,1,1,1]"]
    for above, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{','.join(['*' + above] * 9)}]")
    assert "more than 50000 values" in refused("\n".join(lines))


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    assert "nested too deeply" in refused("[" * 20_000)


def test_one_mistake_in_one_section_does_not_hide_those_of_others() -> None:
    text = SMALLEST.replace("[here]", "[hree]") + "listen: {port: x}\napproval: {reminders: [9, 8]}\n"
    said = refused(text)
    assert "did you mean here?" in said
    assert "listen.port" in said
    assert "do not ascend" in said


def test_scalars_are_those_of_yaml_1_2() -> None:
    rest = "routes: [{name: web, match: {a: yes, b: 12:30:00, c: 2026-12-24, on: off}}]\n"
    assert loads(SMALLEST + rest, {}).routes[0].match == {
        "a": "yes",
        "b": "12:30:00",
        "c": "2026-12-24",
        "on": "off",
    }
    assert loads(SMALLEST + "listen: {port: 010}\n", {}).listen.port == 10


def test_the_redacted_dump_holds_no_secret_and_does_not_load() -> None:
    config = everything()
    dump = to_redacted_yaml(config)
    assert CANARY not in dump
    assert "PRIVATE KEY" not in dump
    assert dump.count(MASK) == 26
    said = refused(dump)
    assert said.count("holds the mask") == 26
    assert "keys.signing_key: holds the mask" in said


def test_the_redacted_dump_is_the_whole_configuration() -> None:
    """With its masks replaced it loads to the same configuration."""
    config = everything()
    dump = to_redacted_yaml(config)
    key = (HERE / "secrets" / "signing-key.pem").read_text()
    indented = "|\n" + "".join(f"    {line}\n" for line in key.splitlines())
    dump = dump.replace(f"signing_key: '{MASK}'", f"signing_key: {indented.rstrip()}")
    dump = dump.replace(f"bearer: '{MASK}'", "bearer: hunter2hunter2hunter2", 1)
    dump = dump.replace("${literal}", "$${literal}")
    dump = dump.replace(f"path_secret: '{MASK}'", "path_secret: 0123456789abcdef0123")
    dump = dump.replace(f"password: '{MASK}'", "password: hunter2hunter2hunter2", 1)
    dump = dump.replace(MASK, ENVIRON["ASSENT_TOKEN"])
    again = loads(dump, {})
    assert to_redacted_yaml(again) == to_redacted_yaml(config)
    assert again.model_dump(exclude={"keys"}) == config.model_dump(exclude={"keys"})


def test_the_digest_changes_with_any_setting_but_not_with_a_secret() -> None:
    token = with_bearer('bearer: "${TOKEN}"')
    one = loads(token, {"TOKEN": "a" * 20}, base=HERE)
    other = loads(token, {"TOKEN": "b" * 20}, base=HERE)
    changed = loads(token + "instance: other\n", {"TOKEN": "a" * 20}, base=HERE)
    assert config_digest(one) == config_digest(other)
    assert config_digest(one) != config_digest(changed)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
    ],
)
def test_durations_read_as_written(text: str, value: timedelta) -> None:
    assert parse_duration(text) == value
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize("text", ["", "5", "m", "1m1h", "-5s", "1.5h", "5 m", "٣m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write for example"):
        parse_duration(text)

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import config
from adapters.policy import RegoEngine, load_engine
from approvals.document import input_document
from approvals.policy import PolicySettings, RiskSettings, policy_data
from bot.domain.errors import ConfigError, Unavailable
from tests.approvals import world

POLICIES = Path(config.__file__).parent / "policies"
HEAD = "package assent\n\nimport rego.v1\n\n"
ALLOW = HEAD + "default allow := false\n\nallow if input.action.read_only\n"
DATA: Mapping[str, Any] = {"settings": {"names": ["a"], "nested": {"deep": 1}}}
DOCUMENT = input_document(world.question(), RiskSettings())


def load(tmp_path: Path, *sources: str, data: Mapping[str, Any] = DATA) -> RegoEngine:
    for number, source in enumerate(sources):
        (tmp_path / f"{number}.rego").write_text(source)
    return load_engine(tmp_path, data)


def problems(tmp_path: Path, *sources: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, *sources)
    return caught.value.problems


def test_the_shipped_policy_loads() -> None:
    engine = load_engine(POLICIES, policy_data(PolicySettings(), RiskSettings()))
    assert engine.files == ("allow.rego", "deny.rego", "facts.rego")


@pytest.mark.parametrize(
    ("rule", "line", "complaint"),
    [
        (
            'deny contains "x" if time.parse_rfc3339_ns("2030-01-01T00:00:00Z") > 1',
            9,
            "time.parse_rfc3339_ns",
        ),
        ('deny contains "x" if no_such_function(input)', 9, "function no_such_function"),
        ('deny contains "x" if inptu.risk == "high"', 9, "inptu is not declared"),
        ('deny contains "x" if input.rsk == "high"', 9, "input.rsk does not exist"),
        ('deny contains "x" if input.target.uuid == "high"', 9, "input.target.uuid does not exist"),
        ('deny contains "x" if input["rsk"] == "high"', 9, "input.rsk does not exist"),
        ('deny contains "x" if data.settings.nmaes', 9, "data.settings.nmaes does not exist"),
        ('deny contains "x" if data.settings.nested.depp', 9, "data.settings.nested.depp does not exist"),
        ('deny contains "x" if data.other.x', 9, "data.other does not exist"),
        ('deny contains "x" if data.facts.missing', 9, "package facts has no such rule"),
        ('deny contains "x" if data[input.risk]', 9, "data must be followed"),
        ('deny contains "x" if {\n\tsome name in data.settings.names\n\tnmae == "a"\n}', 11, "nmae"),
        ('dney contains "x" if true', 9, "rule dney is not one of allow, deny, require, rules"),
        ('helper if input.risk == "high"', 9, "put helpers in package facts"),
        ('deny contains "x" if input.risk == "high" with input.risk as "low"', 9, "with replaces"),
        ('deny contains "x" if { level = "high"; input.risk == level }', 9, "write := to bind"),
        ("import data.facts", 9, "only rego.v1 may be imported"),
        ('deny contains "x" if { x := }', 9, ""),
        ("deny contains 'x' if true", 9, "cannot be read"),
        ('deny contains "x" if {', 9, ""),
    ],
)
def test_a_policy_that_would_fail_in_silence_is_refused_with_file_and_line(
    tmp_path: Path, rule: str, line: int, complaint: str
) -> None:
    found = problems(tmp_path, f"{ALLOW}\n{rule}\n")
    assert any(problem.startswith(f"0.rego:{line}: ") and complaint in problem for problem in found), found


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import rego.v1\n\nallow if true\n", "must begin with: package assent"),
        ("", "must begin with: package assent"),
        ("package other\n\nimport rego.v1\n", "the package must be assent or facts"),
        ("package assent\n\nallow if true\n", "import rego.v1 is missing"),
        (HEAD + "default allow := true\n", "default allow must be false"),
        (HEAD + 'deny contains "x" if true\n', "has an allow rule"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, source: str, complaint: str) -> None:
    assert any(complaint in problem for problem in problems(tmp_path, source))


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        ALLOW + 'deny contains "x" if input.rsk\nrules contains "y" if input.bnad\n',
        HEAD + 'deny contains "x" if foo(1)\n',
    )
    assert [problem.split(": ")[0] for problem in found] == ["0.rego:8", "0.rego:9", "1.rego:5"]


def test_what_a_policy_needs_is_understood(tmp_path: Path) -> None:
    engine = load(
        tmp_path,
        ALLOW
        + '# a comment with time.now_ns() and "quotes"\n'
        + "rules contains name if {\n\tsome name in data.settings.names\n"
        + "\tevery word in input.action.words {\n"
        + '\t\tword != `na"y`\n\t}\n\tdata.facts.wide(input.target.blast_radius)\n}\n'
        + 'require contains {"id": "n", "count": n, "roles": ["r"], "strength": "command"} if {\n'
        + '\tn := count([word | some word in input.action.words; word != "no"])\n'
        + '\tnot input.target.labels["team"]\n\tinput.environments[_] == "staging"\n}\n',
        "package facts\n\nimport rego.v1\n\nwide(size) if size >= 1\n",
    )
    answer = asyncio.run(engine.evaluate(DOCUMENT))
    assert answer["rules"] == ["a"]
    assert answer["require"] == [{"id": "n", "count": 2, "roles": ["r"], "strength": "command"}]
    assert answer["allow"] is False


def test_test_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "x_test.rego").write_text("package nonsense {")
    assert load(tmp_path, ALLOW).files == ("0.rego",)


def test_a_missing_or_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no"):
        load_engine(tmp_path, DATA)
    with pytest.raises(ConfigError, match="not a directory"):
        load_engine(tmp_path / "missing", DATA)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.rego").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"0\.rego: cannot be read"):
        load_engine(tmp_path, DATA)


def test_the_hash_is_of_names_bytes_and_data(tmp_path: Path) -> None:
    def hash_of(name: str, source: str, data: Mapping[str, Any]) -> str:
        for path in tmp_path.glob("*.rego"):
            path.unlink()
        (tmp_path / name).write_text(source)
        return load_engine(tmp_path, data).policy_hash

    same = hash_of("a.rego", ALLOW, DATA)
    assert len(same) == 64
    assert hash_of("a.rego", ALLOW, {"settings": {"nested": {"deep": 1}, "names": ["a"]}}) == same
    others = {
        hash_of("b.rego", ALLOW, DATA),
        hash_of("a.rego", ALLOW + "\n", DATA),
        hash_of("a.rego", ALLOW, {"settings": {"names": ["b"]}}),
        hash_of("a.rego", ALLOW, {"settings": {"at": 1793696400000000000}}),
        hash_of("a.rego", ALLOW, {"settings": {"at": 1793696400000000001}}),
    }
    assert len(others | {same}) == 6


async def test_an_answer_that_contradicts_itself_is_unavailable(tmp_path: Path) -> None:
    engine = load(
        tmp_path,
        HEAD + 'allow := true if input.risk == "low"\n\nallow := false if input.band == "high"\n',
    )
    with pytest.raises(Unavailable, match="policy"):
        await engine.evaluate(DOCUMENT)


async def test_a_value_that_is_no_json_is_unavailable(tmp_path: Path) -> None:
    engine = load(tmp_path, ALLOW)
    for value in (float("nan"), object(), "\ud800"):
        with pytest.raises(Unavailable, match="policy"):
            await engine.evaluate({**DOCUMENT, "risk": value})
    assert (await engine.evaluate(DOCUMENT))["allow"] is False


async def test_an_engine_that_does_not_answer_in_time_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "0.rego").write_text(ALLOW)
    engine = load_engine(tmp_path, DATA, timeout_s=0.02)
    release = threading.Event()
    busy = engine._thread.submit(release.wait)
    try:
        with pytest.raises(Unavailable, match=r"no answer within 0\.02 s"):
            await engine.evaluate(DOCUMENT)
    finally:
        release.set()
    await asyncio.wrap_future(busy)
    assert (await engine.evaluate(DOCUMENT))["allow"] is False
    engine.close()


async def test_questions_asked_at_once_are_not_mixed_up(tmp_path: Path) -> None:
    engine = load(tmp_path, ALLOW + 'rules contains input.target.name if input.risk != ""\n')

    async def ask(name: str) -> Any:
        document = {**DOCUMENT, "target": {**DOCUMENT["target"], "name": name}}
        return (await engine.evaluate(document))["rules"]

    names = [f"n{number}" for number in range(50)]
    assert await asyncio.gather(*(ask(name) for name in names)) == [[name] for name in names]


@pytest.mark.parametrize(
    "text", ['a"b', "a\\b", "a\nb", "a\x00b", "ü😀", "\\u0041", "{{x}}", '"', "%s", "\u2028"]
)
async def test_text_reaches_the_rules_and_comes_back_unchanged(tmp_path: Path, text: str) -> None:
    engine = load(
        tmp_path,
        ALLOW + "rules contains input.target.name if input.target.name in data.settings.names\n",
        data={"settings": {"names": [text]}},
    )
    document = {**DOCUMENT, "target": {**DOCUMENT["target"], "name": text}}
    assert (await engine.evaluate(document))["rules"] == [text]


async def test_the_example_in_the_documentation_does_what_it_says(tmp_path: Path) -> None:
    text = (POLICIES.parent.parent / "docs" / "policy.md").read_text()
    example = text.split("```rego\n", 1)[1].split("```", 1)[0]
    engine = load(tmp_path, example, data=policy_data(PolicySettings(), RiskSettings()))
    assert await engine.evaluate(DOCUMENT) == {"allow": True, "deny": [], "require": []}
    night = {**DOCUMENT, "time": {**DOCUMENT["time"], "hour": 5, "weekday": "sunday"}}
    answer = await engine.evaluate(night)
    assert [item["id"] for item in answer["deny"]] == ["no-weekend"]
    assert [item["id"] for item in answer["require"]] == ["night"]

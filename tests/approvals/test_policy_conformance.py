"""One corpus for every engine: the embedded one always, OPA itself where OPA_BIN names its binary."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

import config
from adapters.policy import load_engine
from adapters.policy.lint import CONFORMANT_BUILTINS
from approvals.document import check_document, input_document
from approvals.policy import PolicySettings, RiskSettings, policy_data
from tests.approvals import world

POLICIES = Path(config.__file__).parent / "policies"
CASES = Path(__file__).parent / "policy_cases"
SHIPPED: list[dict[str, Any]] = yaml.safe_load((CASES / "shipped.yaml").read_text())
BUILTINS: list[dict[str, str]] = yaml.safe_load((CASES / "builtins.yaml").read_text())


class Evaluate(Protocol):
    def __call__(
        self, directory: Path, data: Mapping[str, Any], document: Mapping[str, Any]
    ) -> Mapping[str, Any]: ...


def embedded(directory: Path, data: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    engine = load_engine(directory, data)
    try:
        return asyncio.run(engine.evaluate(document))
    finally:
        engine.close()


def opa(directory: Path, data: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    scratch = directory / "data.json"
    files = [arg for path in sorted(directory.glob("*.rego")) for arg in ("-d", str(path))]
    scratch.write_text(json.dumps(data))
    done = subprocess.run(
        [os.environ["OPA_BIN"], "eval", "-f", "json", *files, "-d", str(scratch), "-I", "data.assent"],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: Mapping[str, Any] = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    return answer


NEEDS_OPA = pytest.mark.skipif("OPA_BIN" not in os.environ, reason="OPA_BIN names no OPA binary")


@pytest.fixture(params=["embedded", pytest.param("opa", marks=NEEDS_OPA)])
def evaluate(request: pytest.FixtureRequest) -> Evaluate:
    return {"embedded": embedded, "opa": opa}[request.param]


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    for path in POLICIES.glob("*.rego"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def document_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(input_document(world.question(), RiskSettings()))
    for path, value in changes.items():
        *above, last = path.split(".")
        level = document
        for name in above:
            level = level[name]
        assert last in level, f"{path} is no member of the document"
        level[last] = value
    check_document(document)
    return document


@pytest.mark.parametrize("case", SHIPPED, ids=[case["name"] for case in SHIPPED])
def test_the_shipped_policy(case: dict[str, Any], evaluate: Evaluate, policies: Path) -> None:
    data = policy_data(PolicySettings(), RiskSettings())
    assert set(case.get("settings", {})) <= set(data["settings"])
    data["settings"].update(case.get("settings", {}))
    answer = evaluate(policies, data, document_of(case.get("set", {})))
    assert set(answer) <= {"allow", "deny", "require", "rules"}
    assert answer["allow"] is case["allow"]
    assert sorted(item["id"] for item in answer.get("deny", [])) == sorted(case.get("deny", []))
    assert sorted(item["id"] for item in answer.get("require", [])) == sorted(case.get("require", []))
    for item in [*answer.get("deny", []), *answer.get("require", [])]:
        assert len(item["reason"]) > 10
        assert "%" not in item["reason"]


def test_every_rule_of_the_shipped_policy_has_a_case_where_it_fires_and_one_where_it_does_not() -> None:
    text = "".join(path.read_text() for path in POLICIES.glob("*.rego"))
    named = {line.split('"')[3] for line in text.splitlines() if line.strip().startswith('"id":')}
    fired = [{*case.get("deny", []), *case.get("require", [])} for case in SHIPPED]
    assert named == set().union(*fired)
    assert not named & set.intersection(*fired)


@pytest.mark.parametrize("case", BUILTINS, ids=[case["expression"] for case in BUILTINS])
def test_a_function_or_operator_means_the_same(
    case: dict[str, str], evaluate: Evaluate, tmp_path: Path
) -> None:
    (tmp_path / "policy.rego").write_text(
        "package assent\n\nimport rego.v1\n\ndefault allow := false\n\n"
        f"allow if {{\n\tvalue := {case['expression']}\n\tvalue == {case['equals']}\n}}\n"
    )
    assert evaluate(tmp_path, {"settings": {}}, document_of({}))["allow"] is True


def test_every_function_that_may_be_used_is_in_the_corpus() -> None:
    used = {name for name in CONFORMANT_BUILTINS for case in BUILTINS if f"{name}(" in case["expression"]}
    assert used == CONFORMANT_BUILTINS

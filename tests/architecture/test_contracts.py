"""The dependency rules hold, and each of them bites when it is broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, dotted, imported, modules, name

# Contract's name → the planted module and the import that breaks the contract.
VIOLATIONS = {
    "Layers: roof > adapters > commands > workflow > ports > engines > domain": (
        "bot.workflow.planted_upwards",
        "bot.commands.parser",
    ),
    "Everything below the adapters is free of I/O libraries and of configuration": (
        "investigators.planted_client",
        "aiohttp",
    ),
    "The reasoner cannot approve, and the gate cannot ask the reasoner": (
        "investigators.planted_approver",
        "approvals.review",
    ),
    "Adapters see ports and nouns, never the workflow or the engines": (
        "adapters.chat.planted_engine",
        "approvals.review",
    ),
    "Adapters do not know each other": ("adapters.http.planted_neighbour", "adapters.storage"),
    "Only the composition root may name an executor": ("bot.cli.planted_hand", "adapters.executors"),
    "Only the composition root may name the gate": ("bot.workflow.planted_gate", "approvals.gate"),
    "Configuration is a leaf": ("config.planted_branch", "bot.domain.errors"),
}


_RUN = "from importlinter.cli import lint_imports_command as run; run()"


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _RUN, "--no-cache"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=100,
        env={"PATH": "", "PYTHONPATH": str(directory), "COLUMNS": "400"},
        check=False,
    )


def test_the_dependency_rules_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.fixture(scope="module")
def broken_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy of the project with one violation of every contract."""
    copy = tmp_path_factory.mktemp("planted")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for planted, target in VIOLATIONS.values():
        (copy / Path(*planted.split("."))).with_suffix(".py").write_text(f"import {target}\n")
    result = lint_imports(copy)
    assert result.returncode != 0
    return result.stdout


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_planted_violation_breaks_its_contract(broken_report: str, contract: str) -> None:
    planted, target = VIOLATIONS[contract]
    assert f"{contract} BROKEN" in broken_report
    titles_and_texts = re.split(r"\n(.+)\n-{5,}\n", broken_report.partition("Broken contracts")[2])
    explained = dict(zip(titles_and_texts[1::2], titles_and_texts[2::2], strict=True))
    assert f"{planted} -> {target}" in explained[contract]


def test_every_contract_has_a_violation_to_prove_it(broken_report: str) -> None:
    assert f"0 kept, {len(VIOLATIONS)} broken" in broken_report


def test_the_domain_imports_the_standard_library_and_itself_only() -> None:
    strangers = {
        f"{name(path)}: {module}"
        for path in modules()
        if dotted(path).startswith("bot.domain")
        for module in imported(path)
        if module.split(".")[0] not in sys.stdlib_module_names and not module.startswith("bot.domain")
    }
    assert strangers == set()


def test_of_the_engines_adapters_know_the_ports_and_nouns_only() -> None:
    """A new module of an engine is out of their reach until it is named here."""
    allowed = {
        "approvals.canonical",
        "approvals.document",
        "approvals.ledger",
        "approvals.model",
        "approvals.ports",
        "investigators.analyst.ports",
        "investigators.ports",
        "investigators.queries",
    }
    strangers = {
        f"{name(path)}: {module}"
        for path in modules()
        if dotted(path).startswith("adapters.")
        for module in imported(path)
        if module.split(".")[0] in ("approvals", "investigators") and module not in allowed
    }
    assert strangers == set()

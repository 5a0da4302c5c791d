"""House rules that can be read off the source: sizes, broad excepts, the environment, leftovers."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from config.schema import Config
from config.shape import section_of
from config.types import Section
from tests.architecture.source import PACKAGES, ROOT, dotted, modules, name, tree

MAX_LINES = 400
MAX_BROAD_EXCEPTS_PER_1000_LINES = 1.5
FOLDERS = {
    ".ci",
    "adapters",
    "approvals",
    "benchmarks",
    "bot",
    "config",
    "deploy",
    "docs",
    "investigators",
    "tests",
}

# Where an error of any kind ends, and why it must not travel on.
BOUNDARIES = {
    "adapters/chat/matrix/crypto.py": 2,  # a stranger's ciphertext
    "adapters/evidence/kubernetes/connection.py": 1,  # login plugins and kubeconfigs: errors share no base
    "adapters/evidence/kubernetes/source.py": 1,  # objects may have any shape
    "adapters/evidence/mcp/owner.py": 3,  # whatever a server brings about: of a connection, a call, a listing
    "adapters/evidence/host/threads.py": 1,  # carried over to the awaiting side as it is
    "adapters/queue/local.py": 1,  # every job
    "adapters/schedule/sweeps.py": 1,  # every sweep
    "adapters/storage/ingest.py": 1,  # carried to every caller of the group
    "approvals/gate.py": 1,  # an executor that broke may have acted
    "approvals/policy.py": 1,  # whatever breaks in an engine, the answer is no
    "bot/commands/inbound.py": 1,  # one event
    "bot/workflow/delivery.py": 1,  # one message
    "bot/workflow/intake.py": 1,  # one alert
    "bot/evaluation/running.py": 1,  # one case
    "bot/cli/service.py": 1,  # the last one: said, then the process ends
    "investigators/analyst/analyst.py": 1,  # a model that fails leaves the rules' diagnosis
    "investigators/registry.py": 1,  # one rule
    "bot/supervisor.py": 1,  # a broken stage of stopping must not keep the others from closing
    "bot/workflow/asking.py": 1,  # whatever breaks in an answerer, who asked is told
    "bot/workflow/investigation.py": 1,  # one source or rule that breaks is a gap, not an end
    "bot/workflow/summarising.py": 1,  # a summariser beside the rules
}


def tracked() -> list[str]:
    """What git has, or in an unpacked archive everything that lies there."""
    listed = subprocess.run(
        ["git", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]
    built = (".venv", "__pycache__", ".git")
    return [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*")
        if path.is_file() and not any(part in built or part.endswith("_cache") for part in path.parts)
    ]


def is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    named = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException") for kind in named)


def only_cleans_up(handler: ast.ExceptHandler) -> bool:
    """It ends by raising what it caught: nothing is swallowed."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    long = {name(path): lines for path in modules() if (lines := path.read_text().count("\n")) > MAX_LINES}
    assert long == {}


def test_broad_excepts_stand_at_boundaries_only() -> None:
    found = Counter(
        name(path)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and not only_cleans_up(node)
    )
    beyond = {path: count for path, count in found.items() if count > BOUNDARIES.get(path, 0)}
    assert beyond == {}
    lines = sum(path.read_text().count("\n") for path in modules())
    assert found.total() <= MAX_BROAD_EXCEPTS_PER_1000_LINES * lines / 1000


def test_the_list_of_boundaries_names_no_file_that_has_none() -> None:
    having = {
        name(path)
        for path in modules()
        if any(isinstance(node, ast.ExceptHandler) and is_broad(node) for node in ast.walk(tree(path)))
    }
    assert set(BOUNDARIES) - having == set()


def test_only_the_loader_reads_the_environment() -> None:
    readers = {
        name(path)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv", "getenvb", "expanduser", "expandvars")
    }
    assert readers == {"config/loader.py"}


def module_level_names(module: ast.Module) -> set[str]:
    names = set()
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_no_module_keeps_state_of_its_own() -> None:
    """Nothing rebinds a module's name, and nothing changes a container that a module's name holds."""
    changing = {
        "append",
        "add",
        "update",
        "pop",
        "setdefault",
        "clear",
        "extend",
        "remove",
        "insert",
        "discard",
    }
    found = set()
    for path in modules():
        names = module_level_names(tree(path))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Global):
                found.add(f"{name(path)}:{node.lineno}: global")
            target: ast.expr | None = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                target = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = node.func.value if node.func.attr in changing else None
            if isinstance(target, ast.Name) and target.id in names and target.id.isupper():
                found.add(f"{name(path)}:{node.lineno}: {target.id} is changed")
    assert found == set()


def test_no_leftovers() -> None:
    words = "|".join(
        ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error", "pragma: no " + "cover")
    )
    found = [
        f"{name(path)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(rf"\b({words})\b", line)
    ]
    assert found == []


def test_there_is_no_folder_beyond_those_of_the_design() -> None:
    assert {path.split("/")[0] for path in tracked() if "/" in path} <= FOLDERS


def test_no_file_names_a_machine_or_a_registry() -> None:
    # In two halves, so that this file does not find itself.
    machine = re.compile(r"(^|[^a-z.])/" + r"(home|root|work|farm)/[a-z.]|index-" + r"url|registry\W+http")
    found = []
    for path in tracked():
        text = (ROOT / path).read_bytes()
        if b"\0" in text:
            continue
        for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
            if machine.search(line):
                found.append(f"{path}:{number}")
    assert found == []


def sections(root: type[Section]) -> Iterator[type[Section]]:
    yield root
    for field in root.model_fields.values():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from sections(inner)


def test_no_key_of_the_configuration_is_read_and_then_ignored() -> None:
    used = {
        node.attr
        for path in modules()
        if not dotted(path).startswith("config.") or dotted(path) == "config.loader"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
    }
    declared = {key for section in sections(Config) for key in section.model_fields}
    checked_by_the_loader = {"version", "unauthenticated"}
    assert declared - used - checked_by_the_loader == set()


def test_every_package_is_a_package() -> None:
    folders = {path.parent for path in modules()}
    bare = {name(folder) for folder in folders if not (folder / "__init__.py").exists()}
    run_by_alembic = {"adapters/storage/migrations", "adapters/storage/migrations/versions"}
    assert bare - run_by_alembic == set()


def test_the_licence_is_the_one_that_is_named() -> None:
    assert "Apache License" in (Path(ROOT) / "LICENSE").read_text()
    assert 'license = "Apache-2.0"' in (Path(ROOT) / "pyproject.toml").read_text()


def test_every_file_that_is_no_module_is_shipped() -> None:
    """A file that the wheel leaves out is missed only where the project was installed from one."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    patterns = [
        f"{package.replace('.', '/')}/{glob}" for package, globs in settings.items() for glob in globs
    ]
    others = [path for path in tracked() if path.split("/")[0] in PACKAGES and not path.endswith(".py")]
    assert others
    assert [path for path in others if not any(fnmatch(path, pattern) for pattern in patterns)] == []
    unused = [pattern for pattern in patterns if not any(fnmatch(path, pattern) for path in others)]
    assert unused == []

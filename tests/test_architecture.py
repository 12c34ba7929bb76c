"""The shape of the package: layers are import-linter's; here is what it cannot say."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent
MODULES = sorted(m.name for m in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."))
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def graph() -> grimp.ImportGraph:
    """Every import in the package, those inside functions and for type checking included."""
    return grimp.build_graph("orchestrator", cache_dir=None)


def test_every_module_is_reached_from_the_command_line() -> None:
    reached = graph().find_upstream_modules("orchestrator.cli.app") | {"orchestrator.cli.app"}
    packages = {m for m in MODULES if any(other.startswith(f"{m}.") for other in MODULES)}
    entry_points = {"orchestrator.__main__", "orchestrator.cli"}
    assert set(MODULES) - reached - packages - entry_points == set()


def test_the_layers_that_are_told_are_those_that_are_enforced() -> None:
    rules = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [rule["layers"] for rule in rules if rule["type"] == "layers"]
    told = (PACKAGE.parent / "docs" / "architecture.md").read_text().split("## Layers")[1].split("```")[1]
    assert told.splitlines()[1:] == [layer.replace("orchestrator.", "") for layer in layers]
    known = {name.strip() for layer in layers for name in layer.split("|")} | {"orchestrator.__main__"}
    assert {name for name in MODULES if name.count(".") == 1} == known


def test_no_two_modules_import_each_other() -> None:
    imports = {m: graph().find_modules_directly_imported_by(m) & set(MODULES) for m in MODULES}
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        assert module not in path, f"a cycle: {' → '.join([*path[path.index(module) :], module])}"
        if module in done:
            return
        path.append(module)
        for other in sorted(imports[module]):
            visit(other)
        done.add(path.pop())

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_offers_is_there_and_said_once(name: str) -> None:
    if name == "orchestrator.__main__":
        return  # importing it runs it
    module = importlib.import_module(name)
    offered = getattr(module, "__all__", [])
    assert sorted(offered, key=str) == sorted(set(offered), key=str)
    assert all(hasattr(module, n) for n in offered)
    assert module.__doc__


def test_files_and_functions_stay_small() -> None:
    long_files = {f.name: n for f in FILES if (n := len(f.read_text().splitlines())) > 350}
    long_functions = {
        f"{f.name}:{node.name}": node.end_lineno - node.lineno
        for f in FILES
        for node in ast.walk(ast.parse(f.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno > 60
    }
    assert (long_files, long_functions) == ({}, {})


def test_two_modules_touch_the_library_of_replicated_documents() -> None:
    using = {
        str(f.relative_to(PACKAGE))
        for f in FILES
        if re.search(r"^\s*(import|from) pycrdt\b", f.read_text(), re.MULTILINE)
    }
    assert using == {"board/document.py", "text/document.py"}


def test_asking_for_help_loads_no_heavy_library() -> None:
    script = (
        "import sys; from orchestrator.cli.app import orch\n"
        "try: orch(['--help'])\nexcept SystemExit: pass\n"
        "heavy = ('git', 'pycrdt', 'pydantic', 'griffe', 'rich', 'yaml', 'asyncio')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_every_promise_names_tests_that_are_there() -> None:
    root = PACKAGE.parent
    promises = "".join(page.read_text() for page in (root / "contracts" / "behaviors").glob("*.md"))
    named = re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", promises)
    assert named
    assert [f"{file}::{test}" for file, test in named if f"def {test}(" not in (root / file).read_text()] == []

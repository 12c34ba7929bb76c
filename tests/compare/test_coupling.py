"""Static coupling, from texts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.compare.coupling import (
    Link,
    coupling_in_file,
    coupling_lines,
    coupling_of_parts,
    coupling_of_plan,
)
from orchestrator.planfile import load_plan
from tests.support.orch import write_plan

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ({"src/a.py": "from src.b import f\n"}, {"src/b.py": "def f(): ...\n"}, "src.b"),
        ({"src/a.py": "import b as c\n"}, {"src/b.py": ""}, "b"),
        ({"src/a.py": "from .b import f\n"}, {"src/b.py": ""}, "b"),
        ({"x/y/a.py": "from .. import b\n"}, {"x/b.py": ""}, "b"),
        ({"a.py": "from p import q\n"}, {"p/__init__.py": "q = 1\n"}, "p"),
        ({"ui/a.tsx": "import {B} from './b'\n"}, {"ui/b.tsx": "export const B = 1\n"}, "./b"),
        ({"ui/a.ts": "export * from '../lib/b.js'\n"}, {"lib/b.ts": ""}, "../lib/b.js"),
        ({"a.py": "x = f(1)\n"}, {"a.py": "def f(y):\n    return y\n"}, "f"),
        ({"a.js": "const x = make(1)\n"}, {"a.js": "function make(y) { return y }\n"}, "make"),
    ],
)
def test_who_uses_what_another_establishes_is_coupled(one: dict[str, str], other: dict[str, str], name: str) -> None:
    found = coupling_of_parts({"one": one, "other": other, "third": {"z.py": "import os\nprint(len(os.sep))\n"}})
    assert found.links == (Link(part="one", of="other", name=name),)
    assert found.coupled == ("one",)
    assert found.share == pytest.approx(1 / 3)
    assert found.line() == (f"Coupling: 1 of 3 parts use what another one establishes (one uses {name} of other).")


def test_who_declares_the_same_is_coupled_both_ways_and_who_imports_the_same_is_not() -> None:
    same = coupling_of_parts({"a": {"x.py": "class C: pass\n"}, "b": {"x.py": "class C: pass\n"}})
    assert same.coupled == ("a", "b")
    imports = coupling_of_parts({"a": {"x.ts": "import r from 'r'\nr()\n"}, "b": {"x.ts": "import r from 'r'\nr()\n"}})
    assert imports.links == ()
    assert coupling_of_parts({"a": {"x.py": ""}}).share is None


def test_open_places_of_a_file_are_coupled_by_code_and_by_words() -> None:
    text = (
        "import React from 'react'\n// TODO:useItems a hook that loads\nconst key = 'items'\n"
        "// TODO:List shows what useItems gives\n// TODO:Footer stands below\nsave(key)\n// TODO:Other nothing\n"
    )
    found = coupling_in_file("app.tsx", text)
    assert found.links == (
        Link(part="Footer", of="useItems", name="key"),
        Link(part="List", of="useItems", name="useItems"),
    )
    assert found.share == 0.5


def test_a_plan_is_read_from_its_scripts_else_from_the_repository_else_from_its_needs(tmp_path: Path) -> None:
    write = {"write": {"path": "src/s.py", "text": "from src.t import x\n"}}
    asked = {"agent": "c", "prompt": "work"}
    tasks: list[dict[str, Any]] = [
        {"id": "script", "writes": ["src/s.py"], "steps": [write]},
        {"id": "old", "writes": ["src/t.py"], **asked},
        {"id": "new", "writes": ["src/u.py"], "needs": ["old"], **asked},
        {"id": "alone", "writes": ["src/v.py"], **asked},
    ]
    plan = write_plan(tmp_path, tasks, agents={"c": {"kind": "command", "command": "true"}})
    loaded, texts = load_plan(plan), {"src/t.py": "x = 1\n", "elsewhere.py": "from src.t import x\n"}
    found = coupling_of_plan(loaded, texts)
    assert found.links == (Link(part="new", of="old", name="needs"), Link(part="script", of="old", name="src.t"))
    assert found.share == 0.5
    assert coupling_lines(loaded, {"src/t.py": "x = 1\n# TODO:one a\n# TODO:two like one\n"}) == [
        "Coupling: 2 of 4 parts use what another one establishes (new needs old, script uses src.t of old).",
        "src/t.py: Coupling: 1 of 2 parts use what another one establishes (two uses one of one).",
    ]


def test_a_file_without_open_places_has_no_parts() -> None:
    assert coupling_in_file("a.py", "x = 1\n").parts == ()

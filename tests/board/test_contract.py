"""The written promises about the board are current: named tests exist, and the layout is the one in use."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator.board import schema
from orchestrator.board.channel import Closing
from orchestrator.board.log import MAGIC
from orchestrator.model.claims import Grant, GrantState

ROOT = Path(__file__).parents[2]
LAYOUT = (ROOT / "contracts/board.md").read_text(encoding="utf-8")
RULES = (ROOT / "contracts/behaviors/claim.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", RULES)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_named_test_exists(path: str, name: str) -> None:
    assert re.search(rf"^(def {name}\(|{name} = )", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_rule_names_a_test() -> None:
    rules = re.split(r"^\d+\. ", RULES, flags=re.MULTILINE)[1:]
    assert len(rules) == 16
    assert all("tests/" in rule for rule in rules)


@pytest.mark.parametrize("root", [schema.TASKS, schema.GRANTS, schema.ANSWERS, schema.LOG, schema.AGENT_STATE,
                                  schema.REQUESTS, schema.SUBMISSIONS, schema.EVENTS])  # fmt: skip
def test_every_root_is_written_down(root: str) -> None:
    assert re.search(rf"^\| `{root}` \| (Map|Array) \|", LAYOUT, re.MULTILINE)


@pytest.mark.parametrize(
    "shape", [Grant, schema.Answer, schema.AgentState, schema.Wish, schema.Submission, schema.Said]
)
def test_every_key_of_a_value_is_written_down(shape: type) -> None:
    names = [field.name for field in fields(shape)]
    assert any(all(f'"{name}"' in line for name in names) for line in LAYOUT.splitlines())


def test_every_reason_for_closing_is_written_down() -> None:
    told = {int(code) for code in re.findall(r"\b(?:1|4)\d{3}\b", LAYOUT[LAYOUT.index("| close code") :])}
    assert set(Closing) - {Closing.NORMAL} <= told


@pytest.mark.parametrize(
    "word", [*GrantState, MAGIC.decode(), f"{2 * schema.LOG_KEPT:,}", f"{schema.ASKED_AT_ONCE} keys"]
)
def test_every_fixed_word_is_written_down(word: str) -> None:
    assert word in LAYOUT

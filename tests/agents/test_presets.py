"""The pure parts of presets: templates, boundaries in other programs' words, events in JSON lines, and the presets themselves."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from orchestrator.agents.filling import arguments, as_text, fill
from orchestrator.agents.json_events import JsonEvents
from orchestrator.agents.native_scope import words_of
from orchestrator.agents.preset import Rule, find_preset, preset_names
from orchestrator.model.agent_events import Called, Returned, Said, Turned, Used
from orchestrator.model.boundary import Boundary
from orchestrator.model.globs import Scope

VALUES: dict[str, Any] = {"one": "1", "many": ("a", "b"), "none": ()}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (["x", "{one}", "{many}!"], ["x", "1", "a!", "b!"]),
        (["x", ["--not", "{gone}"], ["--is", "{one}", ["--in", "{gone}"]]], ["x", "--is", "1"]),
        ([["--each", "{many}"], ["--none", "{none}"]], ["--each", "a", "b"]),
        (["{gone|default}", "{?one}yes", "{!one}no", "{?gone}no", "{!gone}yes"], ["default", "yes", "yes"]),
    ],
)
def test_arguments_are_filled_in(template: list[Any], words: list[str]) -> None:
    assert arguments(template, VALUES) == words


def test_files_are_filled_in_and_written_as_their_names_end() -> None:
    template = {"a": {"{many}": ["{one}", "{gone}", "{many}"], "x": "{gone}"}, "n": [True, 2]}
    filled = fill(template, VALUES)
    assert filled == {"a": {"a": ["1", "a", "b"], "b": ["1", "a", "b"]}, "n": [True, 2]}
    assert tomllib.loads(as_text("x.toml", filled)) == filled
    assert yaml.safe_load(as_text("x.json", filled)) == filled


def boundary(*globs: str, shared: tuple[str, ...] = ()) -> Boundary:
    return Boundary(scope=Scope(globs), contracts=Scope(["contracts/x.py"]), shared=Scope(shared), declared=frozenset())


def test_a_boundary_is_said_in_other_words() -> None:
    words = words_of(boundary("src/**", "{a,b}/*.py", "README.md", "!src/old/**", shared=("src/**/[xy].md",)))
    assert words["write"] == ("README.md", "src/**", "a/*.py", "b/*.py")
    assert words["write_wild"] == ("README.md", "src/*", "a/*.py", "b/*.py")
    assert words["write_folder"] == ("README.md", "src", "a", "b")
    assert words["protect"] == ("src/old/**", "contracts/x.py", "src/**/?.md")


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("src/a", True),
        ("src/a/b.py", True),
        ("a/x.py", True),
        ("a/b/x.py", False),
        ("docs/src/a", False),
        ("README.md", True),
    ],
)
def test_the_regular_expression_bounds_what_the_globs_bound(path: str, *, inside: bool) -> None:
    scope = boundary("src/**", "a/*.py", "README.md")
    assert scope.allows(path) is inside
    assert (re.fullmatch(str(words_of(scope)["write_regex"]), path) is not None) is inside


def test_json_lines_are_read_by_rules() -> None:
    rules = [
        {"when": {"t": "msg"}, "each": "parts", "where": {"k": "text"}, "turned": "id", "said": "v"},
        {
            "when": {"t": "msg"},
            "each": "parts",
            "where": {"k": "call"},
            "turned": "id",
            "called": {"call": "id", "tool": "n"},
        },
        {"when": {"t": "back"}, "returned": {"call": "id", "text": "out", "failed": {"state": ["bad", "worse"]}}},
        {"when": {"t": "bit"}, "piece": "v"},
        {
            "when": {"t": "end"},
            "each": "used",
            "used": {"model": "key", "input_tokens": ["value.a", "value.b"], "usd": "value.c"},
        },
        {"when": {"t": "end"}, "session": "s"},
    ]
    heard = JsonEvents(tuple(Rule.model_validate_json(yaml_json(rule)) for rule in rules), "m")
    lines = (
        b'{"t": "msg", "id": 1, "parts": [{"k": "text", "v": "hello"}, {"k": "call", "id": "c", "n": "Read"}]}\nnoise\n'
        b'{"t": "back", "id": "c", "out": "no", "state": "worse"}\n{"t": "bit", "v": "by"}\n{"t": "bit", "v": "e"}\n'
        b'{"t": "end", "s": "s-1", "used": {"big": {"a": 1, "b": 2, "c": 0.5}}}\n'
    )
    events = [event for start in range(0, len(lines), 7) for event in heard.feed(lines[start : start + 7])]
    assert events == [
        Turned(number=1),
        Said(text="hello"),
        Called(call="c", tool="Read"),
        Returned(call="c", text="no", failed=True),
        Said(text="bye"),
        Used(model="big", input_tokens=3, cached_tokens=0, output_tokens=0, usd=0.5),
    ]
    assert (heard.session, heard.summary, heard.turns) == ("s-1", "bye", 1)


def yaml_json(value: Any) -> str:
    return as_text("x.json", value)


def test_every_preset_of_ours_can_be_read() -> None:
    names = [name for name in preset_names() if name != "claude-sdk"]
    assert names == ["aider", "claude", "codex", "gemini", "opencode"]
    assert all(re.search(r"(@|==)\d+\.", find_preset(name, {}).install) for name in names)

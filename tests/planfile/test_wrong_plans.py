from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.planfile.texts import HEAD, TASK, problems
from tests.support.cost import at_most_calls

if TYPE_CHECKING:
    from pathlib import Path


def with_steps(steps: str) -> str:
    return TASK.replace("steps: []", f"steps: {steps}")


def with_writes(writes: str) -> str:
    return TASK.replace("writes: []", f"writes: {writes}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the whole
        ("", "plan.yaml:1:1: |the file is empty"),
        ("- a\n", "plan.yaml:1:1: a list stands here, where a mapping is wanted"),
        ("hello\n", "'hello' is text, where a mapping is wanted|known keys: version, name"),
        ("~\n", "nothing stands here, where a mapping is wanted"),
        (HEAD, "1:1: tasks: the key 'tasks' is missing; add it"),
        (HEAD + "tasks: []\n", "3:8: tasks: the list is empty; write at least one entry"),
        (HEAD + "tasks:\n", "3:7: tasks: nothing stands here, where a list is wanted"),
        (TASK.replace("version: 1", "version: 2"), "1:10: version: 2 is no version that this program reads; write version: 1"),
        (TASK.replace("version: 1", "version: true"), "version: true is no version"),
        (TASK.replace("version: 1\n", ""), "1:1: version: the key 'version' is missing"),
        (TASK.replace("name: p", "name: Usër"), "2:7: name: 'Usër' has not the form|lower-case"),
        (TASK.replace("name: p", f"name: {'x' * 61}"), "2:7: name: the text is too long; write at most 60"),
        (TASK.replace("name: p", "name: 2026"), "2:7: name: 2026 is a number, where text is wanted; put it in quotes: '2026'"),
        (TASK + "base: -x\n", "7:7: base: '-x' is no branch's name"),
        # unknown keys
        (TASK + "gate: []\n", "7:1: gate: the key 'gate' is not known here; did you mean 'gates'?"),
        (TASK + "colour: red\n", "7:1: colour: the key 'colour' is not known here; take it out (known: version, name, base"),
        (TASK + "  Writes: []\n", "7:3: tasks[0] (A-001).Writes: the key 'Writes'|, and 'writes' stands there already"),
        (TASK + "limits: {cots_usd: x}\n", "7:10: limits.cots_usd: |did you mean 'cost_usd'?|7:20: limits.cots_usd: 'x' is text"),
        (TASK + '"a b": 1\n', '7:1: ["a b"]: the key'),
        # types
        (TASK + "  title: 7\n", "7:10: tasks[0] (A-001).title: 7 is a number, where text is wanted; put it in quotes: '7'"),
        (TASK + "  title: 1e3\n", "1e3 is a number|quotes: '1e3'"),
        (TASK + "  title: true\n", "true is true or false, where text is wanted"),
        (TASK + "  title: [a]\n", "a list stands here, where text is wanted"),
        (TASK + "  title: {a: b}\n", "a mapping stands here, where text is wanted; if it is meant as one text, put it in quotes"),
        (TASK + "  needs:\n", "7:9: tasks[0] (A-001).needs: nothing stands here, where a list is wanted; write it, or leave"),
        (TASK + "  needs: B\n", "'B' is text, where a list is wanted; write ['B']"),
        (TASK + "  needs: {B: 1}\n", "a mapping stands here, where a list is wanted; begin each entry with '- '"),
        (TASK + "  attempts: '3'\n", "'3' is text, where a whole number is wanted; write it without quotes"),
        (TASK + "  attempts: many\n", "'many' is text, where a whole number is wanted; write one such as 3"),
        (TASK + "  attempts: 2.5\n", "2.5 is a number, where a whole number is wanted"),
        (TASK + "  attempts: 0\n", "7:13: tasks[0] (A-001).attempts: 0 is too small; write 1 or more"),
        (TASK + "  attempts: 101\n", "101 is too large; write 100 or less"),
        (TASK + "limits: []\n", "a list stands here, where a mapping is wanted; write 'key: value' lines without '- '"),
        (TASK + "limits: {cost_usd: free}\n", "'free' is text, where a number is wanted"),
        (TASK + "limits: {cost_usd: .inf}\n", ".inf is no amount; write a number such as 2.5"),
        (TASK + "limits: {wall: 30}\n", "7:16: limits.wall: 30 is not a duration; write a number with a unit"),
        (TASK + "limits: {wall: 0s}\n", "limits.wall: '0s' is no time at all"),
        (TASK + "limits: {wall: [x]}\n", "a list is not a duration"),
        # tasks
        (HEAD + "tasks:\n- writes: []\n  steps: []\n", "4:3: tasks[0].id: the key 'id' is missing; add it (its name"),
        (HEAD + "tasks:\n- {id: 'A 1', writes: [], steps: []}\n", "4:8: tasks[0].id: 'A 1' has not the form|such as A-001"),
        (HEAD + "tasks:\n- {id: A..1, writes: [], steps: []}\n", "tasks[0].id: 'A..1' cannot be part of a branch's name"),
        (HEAD + "tasks:\n- {id: 7, writes: [], steps: []}\n", "4:8: tasks[0].id: 7 is a number, where text is wanted"),
        (HEAD + "tasks:\n- A-001\n", "4:3: tasks[0]: 'A-001' is text, where a mapping is wanted|known keys: id, title"),
        (HEAD + "tasks:\n- {id: A, steps: []}\n", "4:3: tasks[0] (A): the task has neither 'track' nor 'writes'"),
        (with_writes("[/a, 'b/../c', 'x**', yes]"),
         "5:12: tasks[0] (A-001).writes[0]: '/a' is an absolute|5:16: |leaves the repository|5:26: |'x**'"),
        (with_writes("[a, 3]"), "5:15: tasks[0] (A-001).writes[1]: 3 is no glob; write a path"),
        (with_writes("['']"), "an empty text is no glob"),
        (TASK + "  todos: [{title: x}]\n", "7:11: tasks[0] (A-001).todos[0].id: the key 'id' is missing"),
        # steps
        (with_steps("[{wirte: {path: a, text: b}}]"), "6:11: |steps[0]: no step is called 'wirte'; did you mean 'write'?"),
        (with_steps("[{zzz: 1}]"), "no step is called 'zzz'; write a mapping with one of the keys write, stream"),
        (with_steps("[x, {}, [], ]"), "'x' is no step|this step is empty|a list is no step"),
        (with_steps("[{run: x, claim: y}]"), "6:20: tasks[0] (A-001).steps[0].claim: a step has one key|make 'claim' a step"),
        (with_steps("[{run: x, timeout: 3}]"), "a step has one key, and 'timeout' is one too many; take it out"),
        (with_steps("[{run: ''}]"), "6:17: tasks[0] (A-001).steps[0].run: the text is empty"),
        (with_steps("[{write: {path: a}}]"), "steps[0].write: a 'write' step needs 'path' and either 'text' or 'from'"),
        (with_steps("[{write: {text: a}}]"), "steps[0].write.path: the key 'path' is missing"),
        (with_steps("[{delete: ../x}]"), "steps[0].delete: '../x' leaves the repository"),
        (with_steps("[{when: {generation: 1, do: [{sleep: 3}]}}]"), "steps[0].when.do[0].sleep: 3 is not a duration"),
        (with_steps("[{when: {generation: 1}}]"), "steps[0].when.do: the key 'do' is missing; add it (the steps)"),
        # contracts, tracks, agents, gates
        (TASK + "contracts: {files: {/a: x}}\n", "7:21: contracts.files[\"/a\"]: '/a' is an absolute path"),
        (TASK + "contracts: {files: {a.py: 3}}\n", '7:27: contracts.files["a.py"]: 3 is no contract; write its text'),
        (TASK + "contracts: {files: {a: {text: x, from: y}}}\n", "contracts.files.a: a contract file is either its text or"),
        (TASK + "contracts: {files: {a: x, a/b: y}}\n", "7:27: contracts.files[\"a/b\"]: 'a' cannot be both a file|(see line 7)"),
        (TASK + "contracts: {implementations: [{interface: I, by: 'b:B', task: A}]}\n", "'I' has not the form|package.module"),
        (TASK + "tracks: {a: {owns: []}}\n", "7:20: tracks.a.owns: the list is empty"),
        (TASK + "tracks: {a: {}}\n", "7:13: tracks.a.owns: the key 'owns' is missing; add it (globs"),
        (TASK + "tracks: {'': {owns: [a]}}\n", '7:10: tracks[""]: \'\' is not a name'),
        (TASK + "agents: {a: {kind: comand}}\n", "7:20: agents.a.kind: 'comand' is not known here; did you mean 'command'?"),
        (TASK + "agents: {a: {kind: 3}}\n", "3 is not known here; write script or command or anthropic or acp"),
        (TASK + "agents: {a: {kind: acp}}\n", "7:13: agents.a: an agent of kind 'acp' needs 'command'"),
        (TASK + "agents: {a: {kind: acp, command: [x, 3]}}\n", "agents.a.command: 3 is no part of a command"),
        (TASK + "gates: [{name: a, run: x}, {name: a, run: y}]\n", "7:35: gates[1].name: the name 'a' is taken|(see line 7)"),
        (TASK + "gates: [{name: a, run: x, baseline: new}]\n", "7:37: gates[0].baseline: 'new' is not known here"),
        # text
        (TASK + "version: 1\n", "7:1: version: the key 'version' is already written in line 1"),
        (TASK + "  title: !!python/name:os.system x\n", "7:10: tasks[0] (A-001).title: |is read as a tag"),
        (TASK + "  title: @x\n", "plan.yaml:7:10: a text that begins with '@' must be in quotes"),
        (TASK + "\ttitle: x\n", "plan.yaml:7:1: a tab stands where YAML wants spaces"),
    ],
)  # fmt: skip
def test_a_wrong_plan_says_where_and_what_to_write(tmp_path: Path, text: str, expected: str) -> None:
    said = "\n".join(problems(tmp_path, text))
    assert all(fragment in said for fragment in expected.split("|")), said
    assert not re.search(r"pydantic|Input should|type=|https?:|step-\w+|tuple\[", said)


TEN = """\
version: 1
name: p
tracks:
  auth: {owns: ["src/auth/**"]}
  all:  {owns: ["src/**"]}                     # 1: meets auth
agents:
  claude: {kind: command}                      # 2: no command
tasks:
  - id: A-001
    track: auht                                # 3: unknown track
    steps: []
  - id: A-002
    writes: [docs/**]
    wall: 30m                                  # 4: unknown key
    needs: [A-001, A-04]                       # 5: unknown need
    agent: claude                              # (fine, if claude were)
    steps: [{run: x}]                          # (nobody knows)
  - id: A 003                                  # 6: no id
    writes: [docs/**]                          # (nobody can say whose it is)
  - id: A-004
    writes: [docs/x.md]                        # (perhaps ordered: A-004 needs the unreadable A 003)
    needs: ["A 003"]
    attempts: none                             # 7: no number
    steps: [{when: {generation: 9, do: []}}]   # (nobody knows how many attempts)
  - id: A-005
    writes: [lib/x, lib/y]
    steps: [{patch: missing.patch}]            # 8: no such file
  - id: A-006
    writes: [lib/*]                            # 9: meets A-005
    steps: []
gates:
  - {name: tests, run: x, timeout: 10}         # 10: no duration
"""


def test_ten_faults_are_reported_at_once_and_nothing_that_follows_from_them(tmp_path: Path) -> None:
    said = problems(tmp_path, TEN)
    assert [problem.split(": ")[0] for problem in said] == [
        "plan.yaml:5:16", "plan.yaml:7:11", "plan.yaml:10:12", "plan.yaml:14:5", "plan.yaml:15:20", "plan.yaml:18:9",
        "plan.yaml:23:15", "plan.yaml:27:21", "plan.yaml:29:13", "plan.yaml:32:36",
    ]  # fmt: skip
    assert said[8].endswith("or narrow one scope (see line 26)")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (TASK.replace("writes", "wirtes"), [5]),  # a misspelt key is read as it was meant
        (TASK.replace("- id", "- idd") + "- {id: B, needs: [A-001], writes: [], steps: []}\n", [4]),
        (TASK.replace("tasks", "taks"), [3]),
        (TASK + "agents: {a: {kind: acp, comand: [x]}}\n", [7]),
        (TASK + "agents: {a: {kind: acp, zzz: [x]}}\n", [7]),  # one report for the agent, not that it lacks a command, too
        (TASK + "shared: [lib/**, 3]\n- {id: B}\n", [8]),
        (TASK + "- {id: 7, writes: [], steps: []}\n- {id: B, needs: ['7'], writes: [], steps: []}\n", [7]),
        (TASK + "- {id: B, track: t, steps: []}\ntracks: {t: {owns: 3}}\n", [8]),
        (TASK + "- {id: B, track: t, steps: []}\ntracks: 3\n", [8]),
        (TASK + "- {id: B, agent: x, writes: []}\nagents: 3\n", [8]),
        (HEAD + "tasks: 3\ncontracts: {implementations: [{interface: 'a:A', by: 'b:B', task: X}]}\n", [3]),
        (TASK + "  <<: {needs: [x]}\n- {id: B, needs: [A-001], writes: [], steps: []}\n", [7]),
        (TASK + "- {id: B, writes: [a], steps: []}\n- {id: C, writes: [a], needs: B, steps: []}\n", [8]),
        (TASK + "- {id: B, writes: [!x a], steps: []}\n", [7]),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem(tmp_path: Path, text: str, lines: list[int]) -> None:
    said = problems(tmp_path, text)
    assert [int(problem.split(":")[1]) for problem in said] == lines, said


def test_very_many_problems_are_counted(tmp_path: Path) -> None:
    with at_most_calls(20_000_000):
        said = problems(tmp_path, HEAD + "tasks:\n" + "- {id: 7, bogus: 3, needs: x}\n" * 5000)
    assert len(said) == 201
    assert "more problems are not listed" in said[-1]

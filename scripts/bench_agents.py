"""What the kinds of agents cost: from the order to the first edit, while they wait, and many at once against a paced model.

Every agent works in a real run. The model is the server of the tests: it says what it is told to, at a given pace. So the ideal
is known: the time that the tokens of the longest chain of tasks take, with nothing beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.journal.journal import read_journal
from orchestrator.model.events import Assigned, AttemptStarted, Event
from tests.support.fake_dialects import Call, Reply
from tests.support.fake_model import FakeModel
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fake_model import Scenario

ROOT = Path(__file__).parents[1]
KINDS = ("script", "command", "anthropic", "acp")
MODEL = "claude-sonnet-5-5"
LONG = 600  # seconds that an idle agent would wait
_TICK = os.sysconf("SC_CLK_TCK")
_EDITED = {"script": "returned", "anthropic": "returned", "acp": "called"}  # ACP's tool call is told as it writes


def main() -> None:
    """Measure, and print three tables."""
    options = _options()
    print(f"{'kind':<10} {'to worktree ms':>15} {'to first edit ms':>17} {'min..max':>14}")
    for kind in options.kinds:
        _print_first_edit(kind, options.repeat)
    print(
        f"\n{'kind':<10} {'orch CPU %':>11} {'orch MB':>8} {'programs CPU %':>15} {'programs MB':>12}   each idle agent"
    )
    for kind in options.kinds:
        _print_idle(kind, options.idle, options.window)
    columns = ("agents", "tasks", "tokens/chain", "ideal s", "run s", "over ideal s", "ratio", "CPU s")
    print("\n" + " ".join(f"{name:>12}" for name in columns))
    for agents in options.agents:
        _print_many(agents, options.tokens_per_second, options.answers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="kinds of agents")
    parser.add_argument("--repeat", type=int, default=5, help="runs for the first edit")
    parser.add_argument("--idle", type=int, default=8, help="idle agents, beside one that is taken off")
    parser.add_argument("--window", type=float, default=5.0, help="seconds for which idle agents are watched")
    parser.add_argument("--agents", type=int, nargs="+", default=[4, 16], help="agents at once against the paced model")
    parser.add_argument("--tokens-per-second", type=float, default=60.0, help="of each answer")
    parser.add_argument("--answers", type=int, default=6, help="answers with an edit in each task")
    return parser.parse_args()


@dataclass(frozen=True)
class Place:
    """A folder with a repository, a plan, and a model server."""

    repo: Path
    plan: Path
    env: dict[str, str]

    @property
    def journal(self) -> Path:
        """The journal of its run."""
        return self.repo / ".git/orch/r/journal"

    def events(self) -> list[tuple[float, Event]]:
        """What has happened in its run so far."""
        return list(read_journal(self.journal)) if self.journal.exists() else []

    def run(self, jobs: int) -> float:
        """Run the plan until all has landed, and return the seconds it took."""
        started = time.perf_counter()
        said = orch("run", self.plan, "--run", "r", "--jobs", str(jobs), "--json", cwd=self.repo, env=self.env)
        seconds = time.perf_counter() - started
        assert said.code == 0, said.out + said.err
        return seconds


@contextmanager
def _place(
    tasks: list[dict[str, Any]],
    story: Scenario,
    agent: dict[str, Any],
    pace: float | None = None,
) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, FakeModel({"s": story}, pace=pace) as fake:
        folder = Path(name)
        repo = make_repo(folder / "repo")
        plan = write_plan(folder / "plan", tasks, agents={"it": agent})
        yield Place(repo.path, plan, {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url("s")})


def _agent(kind: str, folder: Path, turns: list[list[dict[str, Any]]], command: str) -> dict[str, Any]:
    if kind == "acp":
        script = folder / "turns.json"
        script.write_text(json.dumps(turns))
        return {"kind": kind, "command": f"cd {ROOT} && exec {sys.executable} -m tests.support.acp_agent {script}"}
    return {
        "kind": kind,
        **({"command": command} if kind == "command" else {}),
        **({"model": MODEL} if kind == "anthropic" else {}),
    }


def _task(number: int, kind: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    own = {"steps": steps} if kind == "script" else {"prompt": "Do it."}
    return {"id": f"t{number}", "writes": [f"t{number}/**"], "agent": "it", "attempts": 1, **own}


def _print_first_edit(kind: str, repeat: int) -> None:
    found = [_first_edit(kind) for _ in range(repeat)]
    worktree, edit = (statistics.median(column) * 1000 for column in zip(*found, strict=True))
    edits = [seconds * 1000 for _, seconds in found]
    print(f"{kind:<10} {worktree:>15.0f} {edit:>17.0f} {f'{min(edits):.0f}..{max(edits):.0f}':>14}", flush=True)


def _first_edit(kind: str) -> tuple[float, float]:
    """Return the seconds from the order to work on a task until its worktree stands, and until its first file is written."""
    steps = [{"write": {"path": "t1/f", "text": "x\n"}}]
    story = [{"call": {"name": "write", "input": {"path": "t1/f", "text": "x\n"}}}]
    command = "mkdir -p t1 && date +%s.%N > t1/f"
    with tempfile.TemporaryDirectory() as folder:
        agent = _agent(kind, Path(folder), [[{"ask": ["t1/f", "x\n", "edit"]}]], command)
        with _place([_task(1, kind, steps)], story, agent) as place:
            place.run(1)
            at = {type(event): when for when, event in place.events() if isinstance(event, Assigned | AttemptStarted)}
            if kind == "command":
                edited = float((place.repo / "t1/f").read_text())
            else:
                lines = (place.repo / ".git/orch/r/transcripts/t1.gen-1.jsonl").read_text().splitlines()
                edited = next(line["at"] for line in map(json.loads, lines) if line["event"] == _EDITED[kind])
    return at[AttemptStarted] - at[Assigned], edited - at[Assigned]


@dataclass(frozen=True)
class Cost:
    """CPU seconds and megabytes (PSS) of orch itself, and of all programs that it runs."""

    own_cpu: float
    own_mb: float
    others_cpu: float
    others_mb: float


def _print_idle(kind: str, more: int, window: float) -> None:
    one, many = _idle(kind, 1, window), _idle(kind, 1 + more, window)
    cpu = [(getattr(many, name) - getattr(one, name)) / more / window * 100 for name in ("own_cpu", "others_cpu")]
    mb = [(getattr(many, name) - getattr(one, name)) / more for name in ("own_mb", "others_mb")]
    print(f"{kind:<10} {cpu[0]:>11.2f} {mb[0]:>8.2f} {cpu[1]:>15.2f} {mb[1]:>12.1f}", flush=True)


def _idle(kind: str, count: int, window: float) -> Cost:
    """Return what so many agents cost that wait, within a window of seconds."""
    story = [{"say": "so " * LONG, "pace": 1}]
    with tempfile.TemporaryDirectory() as folder:
        agent = _agent(kind, Path(folder), [[{"hang": True}]], f"exec sleep {LONG}")
        tasks = [_task(number, kind, [{"sleep": f"{LONG}s"}]) for number in range(count)]
        with _place(tasks, story, agent) as place:
            process = start_orch("run", place.plan, "--run", "r", "--jobs", str(count), cwd=place.repo, env=place.env)
            try:
                while sum(isinstance(event, AttemptStarted) for _, event in place.events()) < count:
                    assert process.poll() is None, "the run has ended"
                    time.sleep(0.1)
                time.sleep(3 + count / 4)  # until all have loaded what they need
                before = _cost(process.pid)
                time.sleep(window)
                after = _cost(process.pid)
            finally:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=60)
    return Cost(after.own_cpu - before.own_cpu, after.own_mb, after.others_cpu - before.others_cpu, after.others_mb)


def _cost(root: int) -> Cost:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    others, left = [], list(children.get(root, []))
    while left:
        others.append(left.pop())
        left += children.get(others[-1], [])
    used = [_used(pid) for pid in others]
    own = _used(root)
    return Cost(own[0], own[1], sum(cpu for cpu, _ in used), sum(mb for _, mb in used))


def _used(pid: int) -> tuple[float, float]:
    """Return CPU seconds and megabytes of a process; nothing if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    pss = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return (int(fields[11]) + int(fields[12])) / _TICK, pss / 1024


def _print_many(agents: int, pace: float, answers: int) -> None:
    """Let agents work side by side, each on two tasks of which the second needs the first."""
    text = "a line of some length, as a program has them\n" * 8
    story: dict[str, list[dict[str, Any]]] = {}
    tasks = []
    for number in range(2 * agents):
        name = f"t{number}"
        edits = [{"name": "write", "input": {"path": f"{name}/{n}.txt", "text": text}} for n in range(answers)]
        story[f"# {name}:"] = [*({"call": edit} for edit in edits), {"say": "Done."}]
        needs = {"needs": [f"t{number - agents}"]} if number >= agents else {}
        tasks.append({**_task(number, "anthropic", []), **needs})
    tokens = [sum(_tokens(answer) for answer in answers_of) for answers_of in story.values()]
    chain = max(first + second for first, second in zip(tokens[:agents], tokens[agents:], strict=True))
    with _place(tasks, story, {"kind": "anthropic", "model": MODEL}, pace) as place:
        before = os.times()
        seconds = place.run(agents)
        after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    ideal = chain / pace
    numbers = (ideal, seconds, seconds - ideal)
    print(
        f"{agents:>12} {len(tasks):>12} {chain:>12} " + " ".join(f"{number:>12.1f}" for number in numbers),
        f"{seconds / ideal:>12.2f} {cpu:>12.1f}",
        flush=True,
    )


def _tokens(answer: dict[str, Any]) -> int:
    """Return how many tokens the server sends for an answer, each of which takes its time."""
    calls = (Call(**answer["call"]),) if "call" in answer else ()
    return Reply(model=MODEL, text=answer.get("say", ""), calls=calls).tokens_out


if __name__ == "__main__":
    main()

"""The capability probe: whether an agent can read a file, edit it, run a command and report on the board, shown in half a minute.

An agent is probed as every agent works: as the one task of a run, in a small repository of its own. What it can do is read
from what it left, not from what it says: a word that stands in one file is to stand in another, and a program's seal over
that must be right.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.git import change, query
from orchestrator.git.command import Git
from orchestrator.git.repository import Repository
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.processes.process import clean_environment, run_group

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.agents.base import Agent, Assignment
    from orchestrator.model.state import RunState
    from orchestrator.planfile import LoadedPlan

__all__ = ["SECONDS", "Probe", "ProbedAgent", "found_by", "own_repository", "plan_for", "probed"]

SECONDS = 30
"""How long an agent may take, unless the user gives it more."""
_BRANCH = "main"
_TASK = "probe"
_SEAL = """\
import hashlib, pathlib
pathlib.Path("seal.txt").write_text(hashlib.sha256(pathlib.Path("notes.txt").read_bytes()).hexdigest())
"""
_PROMPT = """\
This is a short trial of what you can do. Do these steps, and nothing else:

1. Claim the TODO `steps` on the board.
2. Read question.txt. Its last word is the answer.
3. Edit notes.txt: put that word in the place of PENDING. Change nothing else.
4. Run the command `{seal}`. It writes seal.txt.
5. Mark the TODO `steps` as done on the board.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a probe has shown of an agent; `put_off` says that its provider took no requests, so that nothing is known."""

    agent: str
    reads: bool
    edits: bool
    runs: bool
    reports: bool
    seconds: float
    reason: str = ""
    put_off: bool = False

    @property
    def passed(self) -> bool:
        """Tell whether it has shown everything."""
        return self.reads and self.edits and self.runs and self.reports

    def lines(self) -> list[str]:
        """Return what a person is told."""
        if self.passed:
            return [
                f"{self.agent}: passed in {self.seconds:.1f} s: reads, edits, runs a command, reports on the board."
            ]
        words = {"reads": "read a file", "edits": "edit it", "runs": "run a command", "reports": "report on the board"}
        missing = ", ".join(text for name, text in words.items() if not getattr(self, name))
        why = f" It ended so: {self.reason}" if self.reason else ""
        return [f"{self.agent}: not passed, after {self.seconds:.1f} s. It did not show that it can: {missing}.{why}"]


def plan_for(spec: Mapping[str, Any], seconds: float) -> str:
    """Return the text of the plan by which an agent is probed; `spec` is what a plan's `agents` hold for it."""
    seal = shlex.join([sys.executable, "seal.py"])
    plan = {
        "version": 1,
        "name": _TASK,
        "base": _BRANCH,
        "agents": {"probed": dict(spec)},
        "tasks": [
            {
                "id": _TASK,
                "title": "Show what you can do",
                "writes": ["notes.txt", "seal.txt"],
                "agent": "probed",
                "attempts": 1,
                "todos": [{"id": "steps", "title": "The steps of the trial"}],
                "limits": {"wall": f"{seconds:g}s"},
                "prompt": _PROMPT.format(seal=seal),
            }
        ],
    }
    return json.dumps(plan, indent=1)  # JSON is YAML


def own_repository(folder: Path) -> Repository:
    """Make a bare repository that holds what the trial begins with; its word is random, so that nobody can know it."""
    git_dir = folder / "probe.git"
    files = {
        "question.txt": f"The answer is {secrets.token_hex(8)}\n",
        "notes.txt": "first line\nanswer: PENDING\nlast line\n",
        "seal.py": _SEAL,
    }
    Git(git_dir=git_dir, cwd=folder).run("init", "--quiet", "--bare", f"--initial-branch={_BRANCH}", git_dir)
    own = Repository.open(git_dir)
    empty = own.own.run("mktree").text
    tree = change.tree_with(own.own, empty, {name: text.encode() for name, text in files.items()})
    commit = change.commit_tree(own.own, tree, [], "probe: where the trial begins", "orch")
    change.move_ref(own.own, f"refs/heads/{_BRANCH}", commit, None)
    return own


def found_by(agent: str, repository: Repository, state: RunState, seconds: float) -> Probe:
    """Return what a probe that is over has shown, from the files that the agent left and from what the run knows."""
    assert state.started is not None, "it is over"
    task = state.tasks[_TASK]
    branch = f"refs/heads/orch/{state.started.run}/{_TASK}/gen-1"
    left = branch if query.resolve(repository.own, branch) else f"refs/heads/{_BRANCH}"
    files = {
        name: query.read_blob(repository.own, blob) for name, (_, blob) in query.files_at(repository.own, left).items()
    }
    word, notes = files["question.txt"].split()[-1], files.get("notes.txt", b"")
    reads = word in notes
    edits = notes == b"first line\nanswer: " + word + b"\nlast line\n"
    runs = reads and files.get("seal.txt") == hashlib.sha256(notes).hexdigest().encode()
    put_off = bool(task.refusals) and task.refusals[-1].reason.startswith(f"the agent {OutcomeStatus.PUT_OFF}")
    return Probe(
        agent=agent, reads=reads, edits=edits, runs=runs, seconds=seconds,
        reports=task.landed is not None,  # which no task is whose TODOs are not done on the board
        reason=task.reason, put_off=put_off,
    )  # fmt: skip


def probed(agents: Mapping[str, Agent], loaded: LoadedPlan) -> dict[str, Agent]:
    """Return the agents of a plan, those that the plan wants to be probed each behind its probe."""
    specs = loaded.plan.agents
    return {
        name: ProbedAgent(name, agent) if name in specs and specs[name].probe else agent
        for name, agent in agents.items()
    }


class ProbedAgent:
    """An agent that gets no task before it has passed the probe, once in a run; of several first tasks, all wait for one.

    The probe is a process of its own, with a run of its own, so that nothing of it is in this one.
    """

    def __init__(self, name: str, agent: Agent) -> None:
        self._name = name
        self._agent = agent
        self._one = asyncio.Lock()
        self._known: Probe | None = None

    @property
    def model(self) -> str:
        """The model of the agent behind."""
        return self._agent.model

    @property
    def credential(self) -> str | None:
        """What the agent behind shows."""
        return self._agent.credential

    async def work(self, assignment: Assignment) -> Outcome:
        """Work if the probe is passed; else the task has failed at once, for another attempt would find the same."""
        async with self._one:
            if self._known is None:
                probe = await self._probe(assignment)
                if assignment.stop.is_set():
                    return Outcome(status=OutcomeStatus.STOPPED, reason="stopped before it was finished")
                if probe.put_off:
                    return Outcome(status=OutcomeStatus.PUT_OFF, reason=probe.reason)
                self._known = probe
        if not self._known.passed:
            said = self._known.lines()[0]
            return Outcome(status=OutcomeStatus.FAILED, reason=f"the capability probe refused it: {said}", final=True)
        return await self._agent.work(assignment)

    async def _probe(self, assignment: Assignment) -> Probe:
        plan = assignment.run_folder / "plan" / "plan.yaml"
        command = [
            *(sys.executable, "-m", "orchestrator", "doctor", "--probe", self._name, "--plan", str(plan)),
            *("--repo", str(assignment.run_folder.parents[1]), "--json"),
        ]
        said = bytearray()
        ended = await run_group(
            command, cwd=assignment.folder, env=clean_environment(), on_output=said.extend, stop=assignment.stop,
            on_start=assignment.on_process,
        )  # fmt: skip
        try:
            known = json.loads(said.splitlines()[-1])["probe"]
            return Probe(**{key: value for key, value in known.items() if key != "passed"})
        except (ValueError, IndexError, KeyError, TypeError):
            text = said.decode("utf-8", "replace").strip()[-500:]
            return Probe(
                agent=self._name, reads=False, edits=False, runs=False, reports=False, seconds=0.0,
                reason=f"the probe itself ended with exit code {ended.code}: {text}",
            )  # fmt: skip

"""The architect: an agent that writes a plan and its contracts, until the plan is valid.

It works as every agent does: as the one task of a run, in a repository of its own that has the user's files, with `orch check` as
the gate. What is wrong with its plan is what its next generation is told. Nothing happens in the user's repository.
"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.files import write_whole
from orchestrator.git import query
from orchestrator.git.command import Git
from orchestrator.git.repository import Repository
from orchestrator.planfile.schema import plan_schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PLAN_FOLDER", "bring_plan", "own_repository", "plan_for", "refuse_taken"]

PLAN_FOLDER = "orch-plan"
"""Where the architect writes, in its own repository."""
_BRANCH = "main"
_BRIEF = """\
Write a plan by which several coding agents do the following at once in this repository, each in a worktree of its own:

{requirements}

Write `{folder}/plan.yaml`, and beside it the contract files that it names
(`contracts.files: {{path in the repository: {{from: file beside the plan}}}}`). Look at the repository first. Then:

1. Contracts: the interfaces, types and behaviours that the parts share, as files that are committed before any agent starts
   and that no task may change. What two tasks must agree on belongs there, and nothing else.
2. Tracks: exclusive territories of paths (`owns`). No path may belong to two.
3. Tasks: each with a track or `writes`, a `title`, a `prompt` that says what to do and how it is known to be done, `todos` if
   it has parts, and `needs`: only tasks whose landed work it builds on, for what needs nothing runs at once. Tasks whose
   scopes meet need an order. Every task has `agent: {agent}`.
4. Gates: the commands that must succeed on every merged state, such as the tests of this repository. They must also pass
   before later tasks have landed.

`agents` is to hold exactly this: {agents}

The format, as a JSON Schema: {schema}

`{check}` says what is wrong with it, line by line. It must find nothing before you are done.
"""


def plan_for(requirements: str, agent: str, spec: Mapping[str, Any], attempts: int) -> str:
    """Return the text of the plan by which one agent writes a plan; `spec` is what a plan's `agents` hold for it."""
    check = shlex.join([sys.executable, "-m", "orchestrator", "check", f"{PLAN_FOLDER}/plan.yaml"])
    prompt = _BRIEF.format(
        requirements=requirements.strip(), folder=PLAN_FOLDER, agent=agent, check=check,
        agents=json.dumps({agent: dict(spec)}), schema=json.dumps(plan_schema(), separators=(",", ":")),
    )  # fmt: skip
    plan = {
        "version": 1,
        "name": "architect",
        "base": _BRANCH,
        "agents": {agent: dict(spec)},
        "tasks": [
            {
                "id": "plan",
                "title": "Write the plan",
                "writes": [f"{PLAN_FOLDER}/**"],
                "agent": agent,
                "attempts": attempts,
                "prompt": prompt,
            }
        ],
        "gates": [{"name": "check", "run": check, "timeout": "1m"}],
    }
    return json.dumps(plan, indent=1)  # JSON is YAML


def own_repository(repository: Repository, revision: str, folder: Path) -> Repository:
    """Make a bare repository that has one branch, at a revision of another one, whose objects it borrows.

    Raises:
        UsageError: there is no such revision.
    """
    commit = query.resolve(repository.own, revision)
    if commit is None:
        raise UsageError(f"There is no commit {revision} to plan for.", hint="Commit something first.")
    git_dir = folder / "architect.git"
    Git(git_dir=git_dir, cwd=folder).run("init", "--quiet", "--bare", f"--initial-branch={_BRANCH}", git_dir)
    (git_dir / "objects/info/alternates").write_text(f"{repository.common_dir / 'objects'}\n")
    own = Repository.open(git_dir)
    own.own.run("update-ref", f"refs/heads/{_BRANCH}", commit)
    return own


def refuse_taken(out: Path) -> None:
    """Raise if a folder cannot take a plan.

    Raises:
        UsageError: it is there and not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already, and not empty.", hint="Name another folder with --out.")


def bring_plan(repository: Repository, out: Path) -> list[str]:
    """Write the plan that the architect has landed, and the files beside it, into a folder; return their names."""
    prefix = f"{PLAN_FOLDER}/"
    found = query.files_at(repository.own, f"refs/heads/{_BRANCH}")
    names = []
    for path, (mode, blob) in found.items():
        if not path.startswith(prefix) or not mode.startswith("100"):
            continue
        place = out / path.removeprefix(prefix)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, query.read_blob(repository.own, blob))
        names.append(path.removeprefix(prefix))
    return names

"""A simulated model: plans whose scripts write as fast as a model is said to, with stated coupling and rate of mistakes. Pure.

What is simulated is the time of writing and the chance of a mistake. Everything else is real: processes, git, checks, landing.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import Field, ValidationError

from orchestrator.errors import UsageError
from orchestrator.model.plan_steps import Sleep, StreamFile, each_step
from orchestrator.model.plan_values import PLAN_NAME, Duration, Strict

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.model.plan import Plan

__all__ = ["Generated", "Simulation", "generate", "is_simulation", "read_simulation"]

_CHARACTERS = 4  # of a token, as the step `stream` counts them
_HOT = "src/hot.py"
_GATE = "python3 -I -S -B -c \"import ast, pathlib; [ast.parse(p.read_text(), str(p)) for p in pathlib.Path().rglob('*.py')]\""


class Simulation(Strict):
    """What is simulated; `rate` in tokens a second, `first_token` the seconds before each piece of work, `tokens` of each.

    `coupling` is the share of pieces that use what another one establishes; `errors` the chance that the first attempt at
    a piece does not parse. With `hot_file` all pieces stand in one file, otherwise each in its own.
    """

    name: str = Field(default="simulation", pattern=PLAN_NAME, max_length=60)
    tasks: Annotated[int, Field(ge=2, le=200)]
    coupling: Annotated[float, Field(ge=0, le=1)] = 0.0
    tokens: Annotated[int, Field(ge=20, le=20_000)]
    rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = 60.0
    first_token: Duration = 0.5
    errors: Annotated[float, Field(ge=0, le=1)] = 0.0
    hot_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A plan as YAML, and the files of the repository on which it begins."""

    plan: str
    files: dict[str, str]


def read_simulation(path: Path) -> Simulation:
    """Return what a YAML file says of a simulation.

    Raises:
        UsageError: it cannot be read, or is none; the message names each wrong key.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no YAML in UTF-8"
        raise UsageError(f"{path} cannot be read: {reason}.", hint="Name a YAML file with tasks, tokens, …") from error
    try:
        return Simulation.model_validate(found)
    except ValidationError as error:
        wrong = [
            f"{path}: {'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg'].lower()}."
            for each in error.errors()
        ]
        raise UsageError("\n".join(wrong), hint=f"Its keys are: {', '.join(Simulation.model_fields)}.") from error


def generate(simulation: Simulation, seed: int) -> Generated:
    """Return plan and repository; the seed decides which pieces fail at first, and nothing else."""
    dice = random.Random(seed)  # noqa: S311 - nobody is kept from guessing these
    broken = [dice.random() < simulation.errors for _ in range(simulation.tasks)]
    tasks = _in_one_file(simulation, broken) if simulation.hot_file else _in_many_files(simulation, broken)
    plan = {
        "version": 1,
        "name": simulation.name,
        "base": "main",
        "agents": {"simulated": {"kind": "script", "model": f"simulated@{simulation.rate:g}-tokens-a-second"}},
        "tasks": tasks,
        "gates": [{"name": "parses", "run": _GATE}],
    }
    markers = "".join(f"# TODO:{_name(i)} write it\n" for i in range(simulation.tasks))
    files = {_HOT: markers} if simulation.hot_file else {"src/__init__.py": ""}
    return Generated(plan=json.dumps(plan, indent=1) + "\n", files=files)  # JSON is YAML


def is_simulation(plan: Plan) -> bool:
    """Tell whether all that a plan does is done by scripts that take their time: they stream, or wait, as a model would."""
    kinds = {plan.agent_of(task).kind for task in plan.tasks}
    timed = [any(isinstance(step, StreamFile | Sleep) for _, step in each_step(task.steps)) for task in plan.tasks]
    return kinds == {"script"} and all(timed)


def _in_many_files(simulation: Simulation, broken: list[bool]) -> list[dict[str, Any]]:
    uses = _used(simulation)
    return [
        {
            "id": _name(i),
            "agent": "simulated",
            "writes": [f"src/{_name(i)}.py"],
            **({"needs": [_name(i - 1)]} if uses[i] else {}),
            "steps": _piece(simulation, i, f"src/{_name(i)}.py", coupled=uses[i], broken=broken[i]),
        }
        for i in range(simulation.tasks)
    ]


def _in_one_file(simulation: Simulation, broken: list[bool]) -> list[dict[str, Any]]:
    """Return a task for each depth of use: tasks that write one file come one after another, what is in one task need not."""
    uses, depths = _used(simulation), list[int]()
    for coupled in uses:
        depths.append(depths[-1] + 1 if coupled else 0)
    tasks = []
    for depth in range(max(depths) + 1):
        members = [i for i in range(simulation.tasks) if depths[i] == depth]
        steps = []
        for i in members:
            piece = _piece(simulation, i, _HOT, coupled=uses[i], broken=broken[i])
            steps += [{"claim": _name(i)}, *piece, {"done": _name(i)}]
        tasks.append({
            "id": f"level-{depth}", "agent": "simulated", "writes": [_HOT],
            "todos": [{"id": _name(i), "title": f"Write {_name(i)}"} for i in members],
            **({"needs": [f"level-{depth - 1}"]} if depth else {}), "steps": steps,
        })  # fmt: skip
    return tasks


def _used(simulation: Simulation) -> list[bool]:
    """Return which pieces use the one before them: as many as the coupling says, spread evenly; the first cannot."""
    others = simulation.tasks - 1
    count = min(others, round(simulation.coupling * simulation.tasks))
    return [False, *(i * count // others > (i - 1) * count // others for i in range(1, others + 1))]


def _piece(simulation: Simulation, i: int, path: str, *, coupled: bool, broken: bool) -> list[dict[str, Any]]:
    text = _text(simulation, i, coupled=coupled)

    def streamed(text: str) -> dict[str, Any]:
        marker = {"marker": _name(i)} if simulation.hot_file else {}
        return {"stream": {"path": path, "text": text, "rate": simulation.rate, **marker}}

    wait = {"sleep": f"{round(simulation.first_token * 1000)}ms"}
    if not broken:
        return [wait, streamed(text)]
    wrong = text.replace("return value", "return (value")
    return [
        wait,
        {"when": {"generation": 1, "do": [streamed(wrong)]}},
        *({"when": {"generation": n, "do": [streamed(text)]}} for n in (2, 3)),
    ]


def _text(simulation: Simulation, i: int, *, coupled: bool) -> str:
    """Return a function of so many tokens, as nearly as whole lines allow, and at least one line."""
    before = f"{_name(i - 1)}(value)" if coupled else "value + 1"
    head = f"from src.{_name(i - 1)} import {_name(i - 1)}\n\n\n" if coupled and not simulation.hot_file else ""
    head += f"def {_name(i)}(value: int) -> int:\n    value = {before}\n"
    line, end = "    value = (value * 31 + 17) % 65521\n", "    return value\n"
    count = max(0, round((simulation.tokens * _CHARACTERS - len(head) - len(end)) / len(line)))
    return head + line * count + end


def _name(i: int) -> str:
    return f"part_{i:03}"

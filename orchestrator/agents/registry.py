"""Which kinds of agent this version can start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.agents.command import CommandAgent
from orchestrator.agents.script import ScriptAgent
from orchestrator.errors import PlanError

if TYPE_CHECKING:
    from orchestrator.agents.base import Agent
    from orchestrator.model.plan import AgentSpec, Plan

__all__ = ["agents_of"]


def agents_of(plan: Plan, source: str) -> dict[str, Agent]:
    """Return the agents that the plan's tasks use, by name.

    Raises:
        PlanError: a task uses an agent of a kind that this version cannot start.
    """
    used = {task.agent: plan.agent_of(task) for task in plan.tasks}
    problems = [
        f"{source}: agents.{name}: {why}; this version starts agents of kind 'script', and of kind 'command' with a 'command'"
        for name, spec in used.items()
        if (why := _unavailable(spec))
    ]
    if problems:
        raise PlanError(source, problems)
    return {name: _agent(spec) for name, spec in used.items()}


def _unavailable(spec: AgentSpec) -> str:
    if spec.kind not in {"script", "command"}:
        return f"kind '{spec.kind}' cannot be started yet"
    return f"preset '{spec.preset}' is not known" if spec.preset else ""


def _agent(spec: AgentSpec) -> Agent:
    if spec.kind == "script" or spec.command is None:
        return ScriptAgent()
    words = spec.command.split() if isinstance(spec.command, str) else spec.command
    return CommandAgent(spec.command, spec.model or f"{Path(words[0]).name if words else 'command'}@unknown")

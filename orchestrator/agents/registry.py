"""Which kinds of agent this version can start."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.agents.command import CommandAgent
from orchestrator.agents.script import ScriptAgent
from orchestrator.confine.level import gate_level, level_of
from orchestrator.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.agents.base import Agent
    from orchestrator.model.plan import AgentSpec
    from orchestrator.planfile import LoadedPlan

__all__ = ["agents_of"]


def agents_of(loaded: LoadedPlan) -> dict[str, Agent]:
    """Return the agents that the plan's tasks use, by name.

    Raises:
        PlanError: a preset is not known or cannot be read, or a program that an agent needs is not installed here.
        UsageError: an agent or a gate is to be confined in a way that this machine does not offer.
    """
    plan, source = loaded.plan, loaded.path.name
    used = {task.agent: plan.agent_of(task) for task in plan.tasks}
    agents: dict[str, Agent] = {}
    problems: list[str] = []
    for name, spec in used.items():
        try:
            agents[name] = _agent(spec, loaded.sources)
        except PlanError as error:
            problems += [f"{source}: agents.{name}: {problem}" for problem in error.problems]
        except _NotInstalled as error:
            problems.append(f"{source}: agents.{name}: {error}")
    if problems:
        raise PlanError(source, problems)
    for name, spec in used.items():
        level_of(name, spec)
    for gate in plan.gates:
        gate_level(gate)
    return agents


class _NotInstalled(Exception):
    """What an agent needs is not on this machine; the message says how it is installed."""


def _agent(spec: AgentSpec, sources: Mapping[str, bytes]) -> Agent:
    """Return an agent; what a kind needs is imported for that kind alone."""
    if spec.kind == "anthropic":
        from orchestrator.agents.anthropic import AnthropicAgent

        return AnthropicAgent(spec)
    if spec.kind == "acp" and spec.command is not None:
        from orchestrator.agents.acp_agent import AcpAgent

        return AcpAgent(spec.command, spec.model, spec.mode)
    if spec.preset is not None:
        return _program(spec.preset, spec.model, sources)
    if spec.kind == "script" or spec.command is None:
        return ScriptAgent()
    words = spec.command.split() if isinstance(spec.command, str) else spec.command
    return CommandAgent(spec.command, spec.model or f"{Path(words[0]).name if words else 'command'}@unknown")


def _program(name: str, model: str | None, sources: Mapping[str, bytes]) -> Agent:
    """Return the agent of a preset."""
    from orchestrator.agents.claude_agent import CLAUDE_SDK, ClaudeAgent, why_no_sdk
    from orchestrator.agents.preset import find_preset
    from orchestrator.agents.preset_agent import PresetAgent

    if name == CLAUDE_SDK:
        if why := why_no_sdk():
            raise _NotInstalled(why)
        return ClaudeAgent(model)
    preset = find_preset(name, sources)
    if shutil.which(preset.program) is None:
        raise _NotInstalled(f"the program {preset.program!r} is not installed; install it with `{preset.install}`")
    return PresetAgent(Path(name).stem, preset, model)

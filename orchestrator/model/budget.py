"""What tasks and runs may use: what is left of a task's budget for its next attempt, and which budget is used up. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.plan import RunLimits, Task, TaskLimits
    from orchestrator.model.state import RunState, TaskState

__all__ = ["limit_passed", "limited", "run_used_up", "task_used_up", "turns_used_up"]


def limited(task: Task, now: TaskState) -> Task:
    """Return a task whose limits, those of one attempt, are bounded by what earlier attempts have left of its budget."""
    limits, budget = task.limits, task.budget
    left: dict[str, float] = {}
    for name, spent in (
        ("cost_usd", now.cost_usd),
        ("tokens", now.tokens),
        ("turns", now.turns),
        ("wall", now.seconds),
    ):
        whole = getattr(budget, name)
        if whole is not None:
            own = getattr(limits, name)
            left[name] = whole - spent if own is None else min(own, whole - spent)
    return task.model_copy(update={"limits": limits.model_copy(update=left)}) if left else task


def task_used_up(task: Task, now: TaskState) -> str:
    """Return which budget of a task its attempts have used up; empty if another may begin."""
    budget = task.budget
    tries = f"in {len(now.refusals)} attempt{'s' if len(now.refusals) > 1 else ''}"
    if budget.cost_usd is not None and now.cost_usd >= budget.cost_usd:
        return f"the task's budget of ${budget.cost_usd:g} is used up (${now.cost_usd:.4f} {tries})"
    if budget.tokens is not None and now.tokens >= budget.tokens:
        return f"the task's budget of {budget.tokens} tokens is used up ({now.tokens} {tries})"
    if budget.turns is not None and now.turns >= budget.turns:
        return f"the task's budget of {_turns(budget.turns)} is used up ({now.turns} {tries})"
    if budget.wall is not None and now.seconds >= budget.wall:
        return f"the task's budget of {budget.wall:g} s is used up ({now.seconds:.1f} s {tries})"
    return ""


def run_used_up(limits: RunLimits, state: RunState, seconds: float) -> str:
    """Return which limit of a run is reached after so many seconds; empty if none is."""
    if limits.wall is not None and seconds >= limits.wall:
        return f"the run's time limit of {limits.wall:g} s is used up"
    if limits.cost_usd is not None and state.cost_usd > limits.cost_usd:
        return f"the run's budget of ${limits.cost_usd:g} is used up (${state.cost_usd:.2f})"
    if limits.tokens is not None and state.tokens > limits.tokens:
        return f"the run's budget of {limits.tokens} tokens is used up ({state.tokens})"
    if limits.turns is not None and state.turns > limits.turns:
        return f"the run's budget of {_turns(limits.turns)} is used up ({state.turns})"
    return ""


def limit_passed(limits: TaskLimits, *, usd: float, tokens: int, turns: int) -> str:
    """Return which limit an attempt has passed that has used so much; empty if none is."""
    if limits.turns is not None and turns > limits.turns:
        return turns_used_up(limits.turns)
    if limits.tokens is not None and tokens > limits.tokens:
        return f"the limit of {limits.tokens} tokens is used up: it has used {tokens}"
    if limits.cost_usd is not None and usd > limits.cost_usd:
        return f"the limit of ${limits.cost_usd:g} is used up: it has cost ${usd:.4f}"
    return ""


def turns_used_up(limit: int) -> str:
    """Return that an attempt may take no more turns."""
    return f"the limit of {_turns(limit)} is used up"


def _turns(number: int) -> str:
    return f"{number} turn{'s' * (number != 1)}"

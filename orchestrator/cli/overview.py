"""What a plan comes to, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.model.graph import waves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.planfile import LoadedPlan

__all__ = ["overview"]


def overview(loaded: LoadedPlan) -> Iterator[str]:
    """Yield what a plan comes to: its waves, its tasks with who may write where, and its gates."""
    plan = loaded.plan
    order = waves({task.id: task.needs for task in plan.tasks})
    counts = {"task": len(plan.tasks), "track": len(plan.tracks), "contract file": len(plan.contracts.files)}
    yield f"{plan.name}: " + ", ".join(f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items()) + "."
    for number, wave in enumerate(order, start=1):
        yield f"Wave {number}: {', '.join(wave)}"
    for task in plan.tasks:
        needs = f", after {', '.join(task.needs)}" if task.needs else ""
        yield f"  {task.id}: {task.title or task.id} ({task.agent}{needs}); may write {_few(plan.owned(task))}"
    gates = ", ".join(gate.name for gate in plan.gates)
    yield (
        f"Gates on each merged tree: {gates}."
        if gates
        else "No gates: what merges, lands. Add `gates:` to test it first."
    )


def _few(globs: tuple[str, ...]) -> str:
    more = f" and {len(globs) - 5} more" if len(globs) > 5 else ""
    return (", ".join(globs[:5]) or "nothing") + more

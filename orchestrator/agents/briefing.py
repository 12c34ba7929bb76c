"""The assignment as words: what an agent is told. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.model.plan import Plan, Task

__all__ = ["Earlier", "briefing_for"]

_CONTRACT_TEXT_LIMIT = 40_000  # characters in all; the files are in the worktree, so a long one is only named

Earlier = tuple[int, str, str]
"""A refused generation: its number, the branch its work is kept on, and why it was refused."""


def briefing_for(plan: Plan, task: Task, contracts: Mapping[str, str], earlier: Sequence[Earlier]) -> str:
    """Return what the agent is told: the task, its scope, the contracts, its TODOs, and why earlier generations failed."""
    parts = [f"# {task.id}: {task.title or task.id}", task.prompt.strip(), _scope(plan, task)]
    if task.todos:
        parts.append("## TODOs\n\n" + "\n".join(f"- {t.id}: {t.title}" if t.title else f"- {t.id}" for t in task.todos))
    if contracts:
        parts.append(_contracts(plan, task, contracts))
    parts += [_refusal(*one) for one in earlier]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # a refusal may name a path that is no UTF-8


def _scope(plan: Plan, task: Task) -> str:
    may = "\n".join(f"- {glob}" for glob in plan.owned(task)) or "- nothing"
    lines = [
        "## Where you may write",
        "",
        may,
        "",
        "Write only there, in this folder. You need not commit: your files are taken as you leave them, and checked.",
        "Do not merge or rebase: what others have landed is merged with your work when it lands.",
    ]
    if plan.shared:
        lines.append(f"Everybody may read and nobody may write: {', '.join(plan.shared)}.")
    return "\n".join(lines)


def _contracts(plan: Plan, task: Task, contracts: Mapping[str, str]) -> str:
    lines = ["## Contracts", "", "They are agreed and read-only."]
    lines += [f"- {c.by} implements {c.interface}" for c in plan.contracts.implementations if c.task == task.id]
    left = _CONTRACT_TEXT_LIMIT
    for path, text in contracts.items():
        left -= len(text)
        fence = "~" * 4
        lines.append(
            f"\n### {path}\n" + (f"\n{fence}\n{text.rstrip()}\n{fence}" if left >= 0 else "\n(read it in this folder)")
        )
    return "\n".join(lines)


def _refusal(generation: int, branch: str, reason: str) -> str:
    return f"## Generation {generation} was refused\n\n{reason}\n\nIts work is kept on the branch {branch}."

"""What one attempt is kept in by while its agent works, and the look at the repository afterwards."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from orchestrator.confine.audit import planted_pointer
from orchestrator.confine.confinement import Confinement, scratch_folder
from orchestrator.confine.level import Level, level_of
from orchestrator.model import events as happened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from orchestrator.context import RunContext
    from orchestrator.model.plan import Task
    from orchestrator.worktrees.workspace import Workspace

__all__ = ["confined"]


@asynccontextmanager
async def confined(context: RunContext, task: Task, space: Workspace, prompt: Path) -> AsyncIterator[Confinement]:
    """Give what the programs of an attempt are started with; once they have ended, see what they did to the repository.

    What is found is told, and what can be put back safely is. Nobody but the user can have changed the repository while all
    programs were confined, so then nothing of it is put back.
    """
    spec, guard = context.loaded.plan.agent_of(task), context.guard
    level = level_of(task.agent, spec)
    free = level is Level.AUDIT
    before = await asyncio.to_thread(guard.names) if free else {}
    if free:
        await asyncio.to_thread(guard.begin)
    with scratch_folder(context.folder) as scratch:
        yield Confinement(
            level=level, worktree=space.folder, scope=lambda: space.scope, whole=spec.writable == "worktree",
            scratch=scratch, ports=None if spec.network == "open" else spec.network, names=spec.env,
            common_dir=context.repository.common_dir, runs=context.repository.runs_folder, prompt=prompt,
        )  # fmt: skip
    said = await asyncio.to_thread(_look, context, before) if free else []
    for text in filter(None, (planted_pointer(space.folder, space.admin), *said)):
        context.emit(happened.Noticed(task=task.id, text=text))


def _look(context: RunContext, before: Mapping[str, str]) -> list[str]:
    """Put back what was changed in the repository by somebody else than orch, and return what to say of it."""
    kept = {f"refs/heads/{task.kept.branch}": task.kept.commit for task in context.state().tasks.values() if task.kept}
    return [
        *context.guard.end(),
        *context.guard.put_back_branches(kept),
        *context.guard.moved(before, [f"refs/heads/{context.base.name}"]),
    ]

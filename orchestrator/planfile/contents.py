"""What the files that a plan names are for: contract texts, and the patches of a task."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from orchestrator.model.plan import ApplyPatch, OnlyWhen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.model.plan import Step, Task
    from orchestrator.planfile.reader import LoadedPlan

__all__ = ["contract_files", "contracts_hash", "patches_of"]


def contract_files(loaded: LoadedPlan) -> dict[str, bytes]:
    """Return path in the repository → content of every contract file, in path order."""
    files = loaded.plan.contracts.files
    return {
        path: file.text.encode() if file.text is not None else loaded.sources[file.source or ""]
        for path, file in sorted(files.items())
    }


def contracts_hash(files: Mapping[str, bytes]) -> str:
    """Return 16 hex digits of the SHA-256 over path, a zero byte, content, a zero byte of each file in path order."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(path.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def patches_of(loaded: LoadedPlan, task: Task) -> Iterator[bytes]:
    """Yield the patches that a task's own steps apply."""
    return (loaded.sources[source] for source in _patches(task.steps))


def _patches(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, ApplyPatch):
            yield step.patch
        elif isinstance(step, OnlyWhen):
            yield from _patches(step.when.do)

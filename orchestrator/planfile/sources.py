"""Reading the plan and the files it names, each once and within limits, so that nothing changes under a run."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.model.plan_steps import each_step, source_of
from orchestrator.model.plan_values import described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.model.plan import Plan
    from orchestrator.model.plan_problem import Where

__all__ = ["MAX_SOURCE_BYTES", "named_sources", "read_regular", "read_source"]

MAX_SOURCE_BYTES = 64 << 20


def named_sources(plan: Plan) -> Iterator[tuple[Where, str]]:
    """Yield every file beside the plan that it names, with the place that names it."""
    for path, file in plan.contracts.files.items():
        if file.source is not None:
            yield ("contracts", "files", path, "from"), file.source
    for path, file in plan.crdt.files.items():
        if file.source is not None:
            yield ("crdt", "files", path, "from"), file.source
    for name, agent in plan.agents.items():
        if agent.preset is not None and agent.preset.endswith(".yaml"):
            yield ("agents", name, "preset"), agent.preset
    for index, task in enumerate(plan.tasks):
        for where, step in each_step(task.steps, ("tasks", index, "steps")):
            if (named := source_of(step)) is not None:
                keys, source = named
                yield (*where, *keys), source


def read_source(folder: Path, name: str) -> bytes:
    """Return the content of a file that the plan names, relative to the plan's folder.

    Raises:
        ValueError: it does not exist, lies elsewhere, or is no ordinary file; the message says what to do.
    """
    shown = described(name)
    if name.startswith("/") or Path(name).is_absolute():
        raise ValueError(f"{shown} is an absolute path; write it relative to the plan's folder")
    home = folder.resolve()
    if not Path(os.path.normpath(home / name)).is_relative_to(home):
        raise ValueError(f"{shown} leaves the plan's folder; copy the file into it")
    try:
        found = (home / name).resolve(strict=True)
    except FileNotFoundError:
        raise ValueError(f"there is no file {shown} in the plan's folder; add it, or correct the path") from None
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError up to Python 3.12
        raise ValueError(f"{shown} cannot be found ({_reason(error)}); correct the path") from None
    if not found.is_relative_to(home):
        raise ValueError(f"{shown} is a link that leaves the plan's folder; copy the file into it")
    try:
        return read_regular(found, MAX_SOURCE_BYTES)
    except (OSError, ValueError) as error:
        raise ValueError(f"{shown} cannot be used: {_reason(error)}") from None


def read_regular(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ordinary file, or larger than `limit` bytes.
    """
    # Opening a pipe would wait for a writer, hence O_NONBLOCK; it has no effect on ordinary files.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("it is a folder" if stat.S_ISDIR(mode) else "it is not an ordinary file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit >> 20} MiB")
    return data


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

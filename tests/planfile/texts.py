"""Plans as text, and what is said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import PlanError
from orchestrator.planfile import LoadedPlan, load_plan

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "version: 1\nname: p\n"
TASK = HEAD + "tasks:\n- id: A-001\n  writes: []\n  steps: []\n"


def write(folder: Path, text: str | bytes, name: str = "plan.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(folder: Path, text: str | bytes) -> LoadedPlan:
    return load_plan(write(folder, text))


def problems(folder: Path, text: str | bytes) -> list[str]:
    """Return the problems without the path of the folder; the text must be no valid plan."""
    path = write(folder, text)
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert caught.value.source == str(path)
    assert all(problem.startswith(str(path)) for problem in caught.value.problems)
    return [problem.removeprefix(f"{folder}/") for problem in caught.value.problems]

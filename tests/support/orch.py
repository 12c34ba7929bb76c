"""Runs `orch` as its user does: a process of its own, in a repository, with what it printed and how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Said", "orch", "plan_text", "start_orch", "write_plan"]

ORCH = [sys.executable, "-m", "orchestrator"]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)


def orch(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None) -> Said:
    """Run `orch` to its end."""
    done = subprocess.run(
        [*ORCH, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        check=False,
        timeout=110,
    )
    return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def start_orch(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `orch` in a session of its own, its output in pipes."""
    return subprocess.Popen(
        [*ORCH, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def plan_text(tasks: list[dict[str, Any]], **more: Any) -> str:
    """Return a plan as YAML."""
    return yaml.safe_dump({"version": 1, "name": "test", **more, "tasks": tasks}, sort_keys=False)


def write_plan(
    folder: Path, tasks: list[dict[str, Any]], files: dict[str, str | bytes] | None = None, **more: Any
) -> Path:
    """Write a plan and the files beside it; return the plan's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (files or {}).items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
    path = folder / "plan.yaml"
    path.write_text(plan_text(tasks, **more))
    return path

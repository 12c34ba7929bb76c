"""The transcript of one attempt: what the agent was told, did and said, as JSON lines, up to a bound."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Self

from orchestrator.files import open_new
from orchestrator.model.agent_events import as_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from orchestrator.model.agent_events import AgentEvent

__all__ = ["LIMIT", "Transcript"]

LIMIT = 32 * 1024 * 1024
"""Bytes of one transcript; its last line may pass it."""


class Transcript:
    """An append-only file of `{"at": seconds since the epoch, "event": …}` lines.

    After `limit` bytes it takes one last line that says so, and nothing more: an agent cannot fill the disk by talking.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, limit: int = LIMIT) -> None:
        self._file = open_new(path)
        self._clock = clock
        self._left = limit

    def write(self, event: str, **values: object) -> None:
        """Append one line."""
        if self._left <= 0:
            return
        line = json.dumps({"at": round(self._clock(), 3), "event": event, **values}, ensure_ascii=True) + "\n"
        self._left -= len(line)
        self._file.write(line.encode("ascii"))
        if self._left <= 0:
            self._file.write(b'{"event": "truncated", "text": "this transcript has reached its limit"}\n')

    def tell(self, event: AgentEvent) -> None:
        """Append what the agent was seen to do."""
        kind, values = as_line(event)
        self.write(kind, **values)

    def output(self, chunk: bytes) -> None:
        """Append what a process printed."""
        self.write("output", text=chunk.decode("utf-8", "replace"))

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

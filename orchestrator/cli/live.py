"""Live progress: a table that changes in place on a terminal, one plain line an event anywhere else."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from orchestrator.model import events as happened
from orchestrator.model.sentences import sentence_for
from orchestrator.model.state import TaskStatus

if TYPE_CHECKING:
    from types import TracebackType

    from rich.table import Table

    from orchestrator.model.state import RunState, TaskState

__all__ = ["Display"]

_STYLE = {
    TaskStatus.WAITING: "dim",
    TaskStatus.WORKING: "cyan",
    TaskStatus.SUBMITTED: "yellow",
    TaskStatus.LANDING: "yellow",
    TaskStatus.LANDED: "green",
    TaskStatus.FAILED: "bold red",
    TaskStatus.BLOCKED: "red",
    TaskStatus.CANCELLED: "magenta",
}
_ROWS = 30


class Display:
    """Tells a person what happens. `plain` lines go to stdout, or to stderr when stdout belongs to a program."""

    def __init__(self, *, plain: bool, to_stderr: bool) -> None:
        self._stream = sys.stderr if to_stderr else sys.stdout
        self._started = time.monotonic()
        self._last_words: dict[str, str] = {}
        self._live: Any = None
        if not plain:
            from rich.live import Live

            self._live = Live(refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, event: happened.Event, state: RunState) -> None:
        """Show one event, and the state that it led to."""
        sentence = sentence_for(event)
        if isinstance(event, happened.Reported):
            self._last_words[event.task] = f"{event.action} {event.text}"
        if sentence:
            self._say(f"{time.monotonic() - self._started:7.1f}s  {sentence}")
        if self._live is not None:
            self._live.update(self._table(state))

    def _say(self, line: str) -> None:
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text(line))
        else:
            self._print(line)

    def _print(self, line: str) -> None:
        try:
            print(line, file=self._stream, flush=True)
        except OSError:  # the reader has gone, as `| head` does; the run goes on, and its journal has everything
            self._stream = open(os.devnull, "w")  # noqa: PTH123, SIM115 - it stays open for as long as we do

    def _table(self, state: RunState) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, title=self._title(state), title_justify="left")
        for heading in ("task", "state", "gen", "agent", "last words"):
            table.add_column(heading, no_wrap=True, overflow="ellipsis")
        unfinished = [(k, t) for k, t in state.tasks.items() if not t.status.final]
        for task_id, task in unfinished[:_ROWS]:
            words = sentence_words(self._last_words.get(task_id, ""))
            table.add_row(
                task_id, Text(task.status.value, style=_STYLE[task.status]), _generation(task), _agent(task), words
            )
        if len(unfinished) > _ROWS:
            table.add_row("…", f"{len(unfinished) - _ROWS} more", "", "", "")
        return table

    def _title(self, state: RunState) -> str:
        landed = len(state.with_status(TaskStatus.LANDED))
        return f"{landed}/{len(state.tasks)} landed · {time.monotonic() - self._started:.0f} s"


def sentence_words(text: str) -> str:
    """Return an agent's last words as harmless text of bounded length."""
    from orchestrator.model.text import clean_text

    return clean_text(text)[:60]


def _generation(task: TaskState) -> str:
    return str(task.generation) if task.generation else ""


def _agent(task: TaskState) -> str:
    return task.attempt.agent if task.attempt else ""

"""Live progress: a table that changes in place on a terminal, one plain line an event anywhere else."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import IO, TYPE_CHECKING, Any, Self, TextIO, cast

from orchestrator.model import events as happened
from orchestrator.model.sentences import sentence_for
from orchestrator.model.state import RunState, TaskStatus
from orchestrator.model.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.table import Table

__all__ = ["Display"]

_STYLE = {TaskStatus.WORKING: "cyan", TaskStatus.SUBMITTED: "yellow", TaskStatus.LANDING: "green"}
_ACTIVE = {TaskStatus.WORKING, TaskStatus.SUBMITTED, TaskStatus.LANDING}


class _Stream:
    """A stream that falls silent once its reader has gone, as `| head` does, or its terminal; the journal has everything."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._or_silence():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._or_silence():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a stream has
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _or_silence(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # for all who write there from now on


class Display:
    """Tells a person what happens. `plain` lines go to stdout, or to stderr when stdout belongs to a program."""

    def __init__(self, *, plain: bool, to_stderr: bool) -> None:
        self._stream = _Stream(sys.stderr if to_stderr else sys.stdout)
        self._started = time.monotonic()
        self._last_words: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._state = RunState()
        self._console: Any = None
        self._live: Any = None
        if not plain:
            from rich.console import Console
            from rich.live import Live

            self._console = Console(file=cast("IO[str]", self._stream))
            self._live = Live(
                console=self._console,
                get_renderable=lambda: self._table(self._state),
                refresh_per_second=4,
                transient=True,
            )

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
        elif isinstance(event, happened.Assigned | happened.Submitted | happened.LandingStarted):
            self._since[event.task] = time.monotonic()
        if sentence:
            self._say(f"{time.monotonic() - self._started:7.1f}s  {sentence}")
        if self._live is not None:
            self._state = state

    def _say(self, line: str) -> None:
        if self._live is not None:
            from rich.text import Text

            self._console.print(Text(line))
        else:
            print(line, file=self._stream, flush=True)

    def _table(self, state: RunState) -> Table:
        """Show the tasks that something happens to, at most half a screen of them, and count the others."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, title=self._title(state), title_justify="left", title_style="bold")
        for heading in ("task", "state", "gen", "for"):
            table.add_column(heading, no_wrap=True, min_width=len(heading))
        table.add_column("last words", no_wrap=True, overflow="ellipsis", ratio=1)
        active = [(k, t) for k, t in state.tasks.items() if t.status in _ACTIVE]
        room = max(self._console.height // 2 - 2, 1)
        for task_id, task in active[:room]:
            words = clean_text(self._last_words.get(task_id, ""), 60)
            status = Text(task.status.value, style=_STYLE[task.status])
            table.add_row(task_id, status, str(task.generation), self._age(task_id), words)
        return table

    def _age(self, task_id: str) -> str:
        return f"{time.monotonic() - self._since.get(task_id, self._started):.0f} s"

    def _title(self, state: RunState) -> str:
        landed, waiting = (len(state.with_status(s)) for s in (TaskStatus.LANDED, TaskStatus.WAITING))
        seconds = time.monotonic() - self._started
        return f"{landed}/{len(state.tasks)} landed · {waiting} waiting · {seconds:.0f} s"

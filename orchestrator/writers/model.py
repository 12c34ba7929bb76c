"""A model as a writer: it talks about its part, and what it writes in blocks streams into the shared files, each at its place."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.agents.anthropic_conversation import AnthropicModel
from orchestrator.agents.anthropic_environment import Environment
from orchestrator.agents.board_tools import TOOLS, call
from orchestrator.agents.ending import Over, unless_stopped
from orchestrator.agents.toolbox import Result
from orchestrator.errors import BoardError
from orchestrator.model.code_blocks import TAG
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.text.cursor import MARK
from orchestrator.writers.blocks import BlockWriter, say
from orchestrator.writers.cursors import Cursors, PlaceCursor
from orchestrator.writers.last_look import LastLook, LookAt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.agents.anthropic_environment import Deed
    from orchestrator.model.plan import AgentSpec
    from orchestrator.writers.cursors import FirstPlace
    from orchestrator.writers.work import Work

__all__ = ["ModelWriter"]

_LAST = 10.0  # seconds for what was written to go out, once all is written
_WAITED = 5.0  # seconds after which the model has waited for an answer, and not asked again at once
_BOARD = {
    tool.name: tool
    for tool in TOOLS
    if tool.name in {"board_read", "report_progress", "contract_read", "ask", "answer"}
}

_SYSTEM = f"""\
You write one part of files that several writers share. All of you write at the same time, each its own part, and everybody sees
what the others write at once. Nobody watches: do not ask for leave, act.

How to write:
- Ask for a cursor where the code belongs. Then write the code in your answer, in a block with the position that you were given:
<{TAG} crdtPosition="POSITION">
code
</{TAG}>
- Nothing is written without a cursor, and nothing outside of blocks is written. What stands in a block goes into the file as it
is: code alone, no Markdown fences, no line numbers, no calls of tools.
- A block begins exactly where the cursor stands. At the beginning of a line write whole lines, the first one with its
indentation, too. A second block at the same position begins a new line behind the first one.
- One answer may hold several blocks, and calls of tools, too. You are told what came of each block. Each must be whole: a block
after which the file has more errors of syntax is taken back out, and you write it again.
- Write in separate passes, each with a cursor of its own: the body at its TODO; imports where the file's imports stand;
helpers behind the code that uses them, or where such things stand. Look whether somebody has written that import or helper
before you do.
- Write your own part and nothing else. Leave alone what others write, and the TODOs that are not yours. Use the names that
stand in the files, as they stand there.
- look shows what others have changed since you looked last.
When your part is written, call done."""


class Done(BaseModel):
    """Say that your part is written. What was refused must have been written again, or be of no use any more."""

    model_config = ConfigDict(extra="forbid")

    summary: str = Field(default="", description="one or two sentences: what you have written")


_OWN: dict[str, type[BaseModel]] = {"cursor": PlaceCursor, "look": LookAt, "done": Done}


class ModelWriter:
    """Writes parts by talking to one of Anthropic's models; see `AnthropicModel` for what it needs."""

    def __init__(self, spec: AgentSpec) -> None:
        self._model = AnthropicModel(spec)
        self.model = self._model.label
        self.credential = self._model.credential

    async def write(self, work: Work) -> Outcome:
        """Let the model write its part.

        Unless the part is done, what was written is taken out again as far as nobody has changed it, and the TODO's marker stands
        where it stood. Every slot is closed then, also if this is cancelled.
        """
        started = time.monotonic()
        shared = _SharedFiles(work)
        try:
            async with asyncio.timeout(work.assignment.task.limits.wall):
                await unless_stopped(work.assignment.stop, _synced(work))
            shared.begin()
            outcome = await self._model.converse(work.assignment, shared)
            shared.close(done=outcome.done)
            why = await _not_sent(work)
            if why and outcome.done:
                outcome = replace(outcome, status=OutcomeStatus.FAILED, reason=why)
            outcome = replace(outcome, summary=shared.summary)
        except Over as over:
            outcome = over.outcome
        except (BoardError, TimeoutError) as error:
            outcome = Outcome(status=OutcomeStatus.FAILED, reason=str(error) or "the shared files did not come in time")
        finally:
            shared.close(done=False)
        return replace(outcome, seconds=time.monotonic() - started)


async def _synced(work: Work) -> None:
    """Wait until all files are here.

    Raises:
        BoardError: there will be no connection.
    """
    for seat in work.files.values():
        await seat.synced()


async def _not_sent(work: Work) -> str:
    """Wait until all that was written is on its way; return why it is not, empty if it is."""
    try:
        async with asyncio.timeout(_LAST):
            for seat in work.files.values():
                await seat.sent()
    except BoardError as error:
        return error.message
    except TimeoutError:
        return f"what was written did not go out within {_LAST:g} s"
    return ""


class _SharedFiles(Environment):
    """The shared files, and the board."""

    ending = "done"

    def __init__(self, work: Work) -> None:
        self._work = work
        self._look = LastLook(work.files)
        self._cursors = Cursors(work.files, work.assignment.desk.against_writing)
        self._blocks = BlockWriter(self._cursors.target)
        self._said: dict[str, str] = {}
        self._summary = ""
        self._closed = False
        self._refused = False
        self._briefing = ""

    def begin(self) -> None:
        """Put the first cursor in the stead of the part's marker, if it has one, once the files are here."""
        self._briefing = self._brief(self._first_place())

    @property
    def system(self) -> str:
        return _SYSTEM

    @property
    def briefing(self) -> str:
        return self._briefing

    @property
    def summary(self) -> str:
        """What the model says that it has written."""
        return self._summary or self._blocks.said

    def definitions(self) -> list[dict[str, Any]]:
        own = [(name, str(kind.__doc__), kind.model_json_schema()) for name, kind in _OWN.items()]
        board = [(tool.name, tool.description, tool.schema) for tool in _BOARD.values()]
        return [{"name": name, "description": text, "input_schema": schema} for name, text, schema in own + board]

    async def call(self, name: str, given: dict[str, Any]) -> Result:
        if name in _BOARD:
            return await self._board(name, given)
        if name not in _OWN:
            return Result(text=f"There is no tool {name!r}. Call one of: {', '.join((*_OWN, *_BOARD))}.", failed=True)
        try:
            return self._own(_OWN[name].model_validate(given))
        except ValidationError as wrong:
            faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in wrong.errors()[:3])
            return Result(text=f"{name} was called wrongly: {faults}. Correct that and call it again.", failed=True)
        except BoardError as refused:
            return Result(text=say(refused), failed=True)

    async def changed(self) -> bool:
        return bool(self._blocks.written) or self._cursors.deleted > 0

    def open_todos(self) -> Sequence[str]:
        return ()  # whoever gave the part says on the board that it is done

    def hear(self, words: str) -> None:
        self._blocks.hear(words)

    def take_back(self) -> None:
        self._blocks.take_back()

    def finish_answer(self) -> Sequence[Deed]:
        deeds = self._blocks.finish()
        self._refused = any(deed.result.failed for deed in deeds)
        return deeds

    def close(self, *, done: bool) -> None:
        """Close all slots, once; of a part that is not done nothing stays but what others have changed."""
        if self._closed:
            return
        self._closed = True
        if not done:
            self._blocks.take_back_all()
        self._cursors.close(done=done)

    def _own(self, wanted: BaseModel) -> Result:
        match wanted:
            case PlaceCursor():
                position = self._cursors.place(wanted)
                note = f"\n{position.note}" if position.note else ""
                text = f"Position: {position.token}\n{MARK} is where it stands:\n{position.preview}{note}"
                return Result(text=text, effect=bool(wanted.delete))
            case LookAt():
                return Result(text=self._look.look(wanted))
            case Done():
                if self._refused:
                    text = "A block of this answer was not written, so your part is not done. Write it, or call done again."
                    return Result(text=text, failed=True)
                self._summary = wanted.summary
        return Result(text="It is noted.")

    async def _board(self, name: str, given: dict[str, Any]) -> Result:
        started = time.monotonic()
        said = await unless_stopped(self._work.assignment.stop, call(self._work.assignment.desk, name, given))
        news = self._said.get(name) != said.text or time.monotonic() - started >= _WAITED
        self._said[name] = said.text
        return Result(text=said.text or "(nothing)", failed=said.failed, effect=news and not said.failed)

    def _first_place(self) -> FirstPlace | None:
        part = self._work.part
        if part.marker is None:
            return None
        for path in self._work.files:
            if part.path in (None, path) and (found := self._cursors.replace_marker(path, part.names)) is not None:
                return found
        return None

    def _brief(self, first: FirstPlace | None) -> str:
        part = self._work.part
        told = [f"# What all of you write\n{self._work.goal}", f"# Your part: {part.title}\n{part.prompt}"]
        if first is not None:
            where = "at the beginning of a line" if first.marker.indent is not None else "within a line"
            blanks = f", which was indented by {first.marker.indent!r}" if first.marker.indent else ""
            told.append(
                f"Its TODO stood in {first.path}, {where}{blanks}: TODO:{first.marker.name} {first.marker.text}\n"
                f"In its stead there is a cursor now, shown as {MARK}. Its position is {first.token}"
            )
        elif part.marker is not None:
            told.append("Its TODO stands in no file any more; look where the code belongs, and ask for a cursor.")
        told.append("# The shared files, as they are now")
        for path in self._work.files:
            if part.path in (None, path):
                told.append(self._look.whole(path, first.position() if first and first.path == path else None))
            else:
                told.append(f"{path}: look at it if you need it.")
        return "\n\n".join(told)

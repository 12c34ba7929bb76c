"""The blocks of code in a model's answers, written into shared files while they stream.

A block is written as it comes, judged when it is closed, and taken back out if it cannot stay. An answer that does not come whole
leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.agents.anthropic_environment import Deed
from orchestrator.agents.toolbox import Result
from orchestrator.errors import BoardError
from orchestrator.model.code_blocks import TAG, Closed, Code, CodeBlocks, Opened, Refused, Said
from orchestrator.syntax.leak import strip_leak
from orchestrator.text.document import SlotLost
from orchestrator.writers.judging import has_leaked, why_worse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.model.code_blocks import CodeEvent
    from orchestrator.writers.cursors import Target

__all__ = ["BlockWriter", "say"]

_CHANGED = "It could not be taken out, since somebody has changed it meanwhile: look at it, and mend it with a cursor."


@dataclass(slots=True)
class _Block:
    """The block that is open; without a target its words are dropped, for a reason that was told."""

    position: str
    target: Target | None
    words: list[str] = field(default_factory=list)


@dataclass(slots=True)
class BlockWriter:
    """Writes one answer after another; `find` returns the place of a position, and raises what the model is to be told.

    `written` are the blocks that stand, of all answers.
    """

    find: Callable[[str], Target]
    said: str = ""
    written: list[tuple[Target, str]] = field(default_factory=list)
    _reader: CodeBlocks = field(default_factory=CodeBlocks)
    _block: _Block | None = None
    _whole: int = 0
    _said: list[str] = field(default_factory=list)
    _deeds: list[Deed] = field(default_factory=list)
    _known: set[tuple[str, str]] = field(default_factory=set)

    def hear(self, chunk: str) -> None:
        """Write what the next piece of an answer makes certain."""
        for event in self._reader.feed(chunk):
            self._take(event)

    def finish(self) -> Sequence[Deed]:
        """Return what the answer did, now that it is whole; a block that is still open is taken out."""
        for event in self._reader.finish():
            self._take(event)
        if words := "".join(self._said).strip():
            self.said = words
        deeds = self._deeds
        self._next_answer()
        return deeds

    def take_back(self) -> None:
        """Take out what this answer has written; what it has cost others to see it is not undone."""
        if self._block is not None and self._block.target is not None:
            _take_out(self._block.target, "".join(self._block.words))
        while len(self.written) > self._whole:
            _take_out(*self.written.pop())
        self._next_answer()

    def take_back_all(self) -> None:
        """Take out all that was ever written here, the newest first."""
        self._whole = 0
        self.take_back()

    def _next_answer(self) -> None:
        self._reader, self._block, self._said, self._deeds = CodeBlocks(), None, [], []
        self._whole = len(self.written)

    def _take(self, event: CodeEvent) -> None:
        match event:
            case Said(text=text):
                self._said.append(text)
            case Opened(position=position):
                self._open(position)
            case Code(text=text):
                self._write(text)
            case Closed():
                self._close()
            case Refused(reason=reason):
                self._refuse(reason)

    def _open(self, position: str) -> None:
        self._block = _Block(position, None)
        try:
            target = self.find(position)
            target.slot.append("")  # it may have been lost since
        except BoardError as error:
            self._tell(say(error), failed=True)
        else:
            self._block.target = target

    def _write(self, text: str) -> None:
        block = self._block
        if block is None or block.target is None:
            return
        try:
            if not block.words and block.target.slot.content()[-1:] not in {"", "\n"}:
                text = f"\n{text}"  # a block holds lines: another one at the same position begins with the next
            block.target.slot.append(text)
        except SlotLost as lost:
            self._tell(f"{say(lost)} What you wrote there is lost.", failed=True)
            block.target = None
        except BoardError as error:  # half a character
            taken = _take_out(block.target, "".join(block.words))
            self._tell(f"{say(error)} The block was taken back out. {'' if taken else _CHANGED}".rstrip(), failed=True)
            block.target = None
        else:
            block.words.append(text)

    def _refuse(self, reason: str) -> None:
        """End the open block, if one is, with a reason why it cannot stay."""
        block = self._block
        if block is None:
            self._block = _Block("", None)
        elif block.target is not None:
            taken = _take_out(block.target, "".join(block.words))
            reason = f"{reason} {'What came of the block was taken back out.' if taken else _CHANGED}"
        self._tell(reason, failed=True)
        self._block = None

    def _close(self) -> None:
        block, target = self._block, self._block.target if self._block else None
        if block is not None and target is not None:
            self._judge(target, "".join(block.words))
        self._block = None

    def _judge(self, target: Target, words: str) -> None:
        if not words:
            self._tell("The block is empty, so nothing was written.", failed=True)
            return
        note = ""
        try:
            if _stands(target, words) and has_leaked(target, len(words)) and _take_out(target, words):
                words = strip_leak(words)
                target.slot.append(words)
                note = " Markup of a tool call in it was left out: a block holds nothing but code."
                if not words:
                    self._tell(f"Nothing was written.{note}", failed=True)
                    return
            why = why_worse(target, len(words)) if _stands(target, words) else ""
            if why and _take_out(target, words):
                text = f"With this block the syntax of {target.path} has more errors ({why}), so it was taken back out."
                self._tell(f"{text} Write it again so that it fits.{note}", failed=True)
                return
        except SlotLost as lost:
            self._tell(f"{say(lost)} What you wrote there is lost.", failed=True)
            return
        self.written.append((target, words))
        new = (target.path, words.strip()) not in self._known
        self._known.add((target.path, words.strip()))
        lines = words.strip("\n").count("\n") + 1
        self._tell(f"Written in {target.path}: {lines} line{'s' * (lines > 1)}.{note}", effect=new)

    def _tell(self, text: str, *, failed: bool = False, effect: bool = False) -> None:
        block = self._block or _Block("", None)
        arguments = {"crdtPosition": block.position, "text": "".join(block.words)}
        self._deeds.append(Deed(tool=TAG, arguments=arguments, result=Result(text=text, failed=failed, effect=effect)))


def say(error: BoardError) -> str:
    """Return what was refused, and what to do instead."""
    return f"{error.message.rstrip('.')}. {error.hint}".strip()


def _stands(target: Target, words: str) -> bool:
    """Tell whether a slot ends with these words; if somebody has changed them meanwhile, they are not judged."""
    return target.slot.content().endswith(words)


def _take_out(target: Target, words: str) -> bool:
    """Remove the last words of a slot; tell whether they are gone, which they are not if somebody has changed them."""
    if not words:
        return True
    try:
        target.slot.remove_suffix(words)
    except SlotLost:
        return True
    except BoardError:
        return False
    return True

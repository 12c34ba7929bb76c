"""The documents of one board, kept in step with its log: persisted first, and shown only then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from orchestrator.board import schema
from orchestrator.board.document import NO_CHANGE, Append, Document
from orchestrator.board.frame import GONE, Frame
from orchestrator.board.log import replay
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.board.document import Change
    from orchestrator.board.log import BoardLog
    from orchestrator.board.schema import Answer

__all__ = ["Books"]

_LARGEST = 16 * 1024 * 1024  # bytes of updates after which an agent's document is measured; half of it may stay


class Books:
    """`ctl`, the agents' documents and the shared files, rebuilt from the log; the only writer of `ctl`."""

    def __init__(
        self,
        log: BoardLog,
        clock: Callable[[], float],
        *,
        publish: Callable[[str, bytes], None],
        stopped: Callable[[str], None],
    ) -> None:
        """Rebuild the documents.

        `publish` is called with the topic and every update of a document once it is in the log, `GONE` for one that is
        dropped; `stopped` with the reason when the log fails: the documents are then ahead of it, and nothing of them
        may be shown to anybody any more.

        Raises:
            BoardError: the log does not hold a board.
        """
        self._log = log
        self._clock = clock
        self._publish = publish
        self._stopped = stopped
        self._broken: str | None = None
        frames = list(log.replay())
        self.documents = replay(frames)
        self.ctl = self.documents.setdefault(schema.CTL, Document())
        self._gone = {frame.topic for frame in frames if frame.update == GONE}
        entries = self.ctl.entries(schema.LOG)
        self._sequence = schema.decode_entry(entries[-1]).seq if entries else 0
        self._taken: dict[str, int] = {}
        self._appended = self._synced = 0
        self._syncing: asyncio.Task[None] | None = None

    def usable(self) -> None:
        """Do nothing, or raise.

        Raises:
            BoardError: the log failed before, so nothing can be promised any more.
        """
        if self._broken is not None:
            raise BoardError(f"the board stopped: {self._broken}")

    def write(self, *changes: Change) -> None:
        """Change `ctl`: one transaction, one record in the log, one update for others."""
        self.usable()
        try:
            update = self.ctl.write(*changes)
        except BoardError as fault:
            self._stop(fault)
            raise
        if update != NO_CHANGE:
            self._persist(Frame(topic=schema.CTL, update=update))

    def record(self, kind: str, fields: Mapping[str, Any], *changes: Change) -> None:
        """Change `ctl`, and say in its log what happened, in one transaction.

        Raises:
            BoardError: a field is not JSON, or has a name that every entry has; nothing was changed.
        """
        entry = schema.LogEntry(seq=self._sequence + 1, at=self._clock(), kind=kind, fields=fields)
        self.write(*changes, Append(array=schema.LOG, value=schema.encode_entry(entry), keep=schema.LOG_KEPT))
        self._sequence += 1

    def join(self, topic: str) -> Document:
        """Return the document of an agent that takes part, a new one if there is none yet.

        Raises:
            BoardError: it was dropped; its client ids and requests must not come back.
        """
        self.usable()
        if topic in self._gone:
            raise BoardError(f"{topic} was dropped; come back under a new incarnation")
        return self.documents.setdefault(topic, Document())

    def take_in(self, topic: str, update: bytes) -> Document:
        """Apply an agent's update to its document, and return that.

        Raises:
            BoardError: it does not fit; the document must be dropped.
        """
        self.usable()
        document = self.documents[topic]
        if (changed := document.apply(update)) != NO_CHANGE:
            self._grew(topic, len(changed))
            self._persist(Frame(topic=topic, update=changed))
        return document

    def take_shared(self, topic: str, update: bytes, by: str) -> Frame:
        """Apply one writer's update to a document of many, and return what it changed: `NO_CHANGE` if nothing.

        Raises:
            BoardError: it does not fit; the document is as it was.
        """
        self.usable()
        try:
            changed = self.documents[topic].apply(update)
        except BoardError as fault:
            if not isinstance(fault.__cause__, ValueError):  # it could be read, so half of it may have been taken
                self.rebuild(topic)
            raise
        frame = Frame(topic=topic, update=changed, by=by, at=self._clock())
        if changed != NO_CHANGE:
            self._persist(frame)
        return frame

    def rebuild(self, topic: str) -> None:
        """Make a document anew from the log; connections still show the former one."""
        fresh = Document()
        fresh.apply(*(frame.update for frame in self.history(topic)))
        self.documents[topic] = fresh

    def history(self, topic: str) -> list[Frame]:
        """Return all updates of a document, in the order in which they were taken."""
        return [frame for frame in self._log.replay() if frame.topic == topic]

    def forget(self, topic: str) -> None:
        """Drop an agent's document for good."""
        self._persist(Frame(topic=topic, update=GONE))
        self._gone.add(topic)
        self._taken.pop(topic, None)
        del self.documents[topic]

    def unread_answers(self) -> dict[str, dict[str, dict[str, Answer]]]:
        """Return the hub's answers, by topic, that still have their questions: others leave the board with the next."""
        answers = {}
        for topic, text in self.ctl.items(schema.ANSWERS).items():
            asked = self.documents[topic]
            by_name = schema.decode_answers(text).items()
            answers[topic] = {name: {k: a for k, a in found.items() if asked.get(name, k)} for name, found in by_name}
        return answers

    def was_dropped(self, topic: str) -> bool:
        """Tell whether a topic's document was dropped for good."""
        return topic in self._gone

    def topics_of(self, agent: str) -> list[str]:
        """Return the topics of an agent's documents."""
        topics = [topic for topic in self.documents if topic.startswith("ag/")]
        return [topic for topic in topics if schema.parse_agent_topic(topic).agent == agent]

    async def persisted(self) -> None:
        """Wait until all that was written is on the disk; all who wait at the same time share one write.

        Raises:
            BoardError: the disk did not take it.
        """
        wanted = self._appended
        while self._synced < wanted:
            self.usable()
            if self._syncing is None:
                self._syncing = asyncio.create_task(self._sync(), name="board log: sync")
            await asyncio.shield(self._syncing)
        self.usable()

    async def _sync(self) -> None:
        covers = self._appended
        try:
            await asyncio.to_thread(self._log.sync)
        except BoardError as fault:
            self._stop(fault)
        else:
            self._synced = covers
        finally:
            self._syncing = None

    def _grew(self, topic: str, size: int) -> None:
        """Raise if an agent's document is too large; it is measured only now and then.

        Raises:
            BoardError: it is.
        """
        self._taken[topic] = self._taken.get(topic, 0) + size
        if self._taken[topic] > _LARGEST:
            self._taken[topic] = size = len(self.documents[topic].since(None))
            if size > _LARGEST // 2:
                raise BoardError(f"a document of {size} bytes is too large; at most {_LARGEST // 2} are kept")

    def _persist(self, frame: Frame) -> None:
        try:
            self._log.append((frame,))
        except BoardError as fault:
            self._stop(fault)
            raise
        self._appended += 1
        self._publish(frame.topic, frame.update)

    def _stop(self, fault: BoardError) -> None:
        self._broken = fault.message
        self._stopped(fault.message)

"""A shared file played again from the board's log: who wrote what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.board.files import RUN, author_agent, is_file_topic
from orchestrator.board.log import read_topics
from orchestrator.text.authorship import read_updates
from orchestrator.text.document import Added, FileText
from orchestrator.text.places import Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Moment", "newest_document", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One change of a file: seconds since the first, who made it, what came, how much went, and the file after it."""

    seconds: float
    author: str
    added: str
    removed: int
    text: str


def newest_document(log: Path, path: str) -> str | None:
    """Return by which path the newest document of a file is known on the board; None if there was none.

    Raises:
        BoardError: there is no such log.
    """
    found = None
    for topic in read_topics(log):
        name = topic.partition("/")[2]
        if is_file_topic(topic) and (name == path or name.partition("/")[2] == path):
            found = name
    return found


def replay(log: Path, document: str) -> Iterator[Moment]:
    """Yield all changes of a document that changed its words, in their order.

    Raises:
        BoardError: the log cannot be read.
    """
    text, began, before = FileText(), None, ""
    text.watch()
    for at, by, update in read_updates(log, document):
        began = at if began is None else began
        text.apply(update)
        deltas = [item for delta in text.deltas() for item in delta]
        added = "".join(x.segment.text for x in deltas if isinstance(x, Added) and isinstance(x.segment, Words))
        after = str(text)
        removed = len(before) + len(added) - len(after)
        if added or removed:
            author = "the plan" if by == RUN else author_agent(by) or by
            yield Moment(seconds=at - began, author=author, added=added, removed=removed, text=after)
        before = after

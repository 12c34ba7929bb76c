"""Shared files: documents with many writers, what they are called, and who wrote what under which client id.

An update says under which client id it was made, and nothing else can be known of it. So the hub writes down, in `ctl`
and before it takes the first update, to whom a client id belongs: the one whose connection brought it. From then on
nobody else can bring anything new under that id.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.board.document import NO_CHANGE, Put
from orchestrator.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.board.books import Books
    from orchestrator.board.frame import Frame

__all__ = ["PERSON", "RUN", "WRITERS", "SharedFiles", "agent_author", "author_agent", "file_topic", "is_file_topic"]

WRITERS = "writers"
"""The map of `ctl` that holds, for each file's topic, its writers by client id."""
PERSON, RUN = "person", "run"
"""Writers that are no agents: whoever holds the owner's token, and the run itself."""

_FILES, _LONGEST_PATH = "file/", 500
_LARGEST = 8 * 1024 * 1024  # bytes that a document may have
_CLIENTS = 1000  # of one document: each start of an agent, and each page that wrote, is one


def file_topic(path: str) -> str:
    """Return the topic of a shared file's document.

    Raises:
        BoardError: it is no path inside a repository, written with '/'.
    """
    parts = path.split("/")
    if len(path) > _LONGEST_PATH or not path.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise BoardError(
            f"{path[:100]!r} is no path of a file", hint="Write it from the repository's top, as src/a.py."
        )
    return f"{_FILES}{path}"


def is_file_topic(topic: str) -> bool:
    """Tell whether a topic is that of a shared file."""
    return topic.startswith(_FILES)


def agent_author(name: str) -> str:
    """Return how an agent is called as a writer; no other kind of writer has a blank in its name."""
    return f"agent {name}"


def author_agent(author: str) -> str | None:
    """Return the agent that a writer is; None if it is a person, or the run itself."""
    kind, blank, name = author.partition(" ")
    return name if blank and kind == "agent" else None


class SharedFiles:
    """Takes in what many writers change in the shared files of one board."""

    def __init__(self, books: Books) -> None:
        """Go on with the writers that `ctl` names."""
        self._books = books
        self._writers: dict[str, dict[int, str]] = {
            topic: {int(client): author for client, author in json.loads(text).items()}
            for topic, text in books.ctl.items(WRITERS).items()
        }
        self._sizes: dict[str, int] = {}
        self._listeners: dict[str, list[Callable[[Frame], None]]] = {}

    def open(self, path: str) -> str:
        """Let a file be written, and return its topic; its text is what was written before, or none.

        Raises:
            BoardError: it is no path of a file.
        """
        topic = file_topic(path)
        document = self._books.join(topic)
        self._sizes.setdefault(topic, len(document.since(None)))
        return topic

    def is_open(self, topic: str) -> bool:
        """Tell whether a topic is that of a file which may be written."""
        return topic in self._sizes

    def writers(self, path: str) -> dict[int, str]:
        """Return who writes a file, by client id."""
        return dict(self._writers.get(file_topic(path), {}))

    def follow(self, path: str, heard: Callable[[Frame], None]) -> None:
        """Call `heard` with every update of a file: first those made before, in their order, then each when it is in the log."""
        topic = file_topic(path)
        for frame in self._books.history(topic):
            heard(frame)
        self._listeners.setdefault(topic, []).append(heard)

    def receive(self, topic: str, update: bytes, by: str) -> None:
        """Take in an update that a writer's connection brought.

        Raises:
            BoardError: it does not fit, is of somebody else's, or makes the document too large; nothing of it was taken.
        """
        self._books.usable()
        if self._sizes[topic] + len(update) > _LARGEST:
            self._sizes[topic] = len(self._books.documents[topic].since(None))
            if self._sizes[topic] + len(update) > _LARGEST:
                raise BoardError(f"a shared file of more than {_LARGEST} bytes is too large")
        self._bind(topic, update, by)
        frame = self._books.take_shared(topic, update, by)
        if frame.update != NO_CHANGE:
            self._sizes[topic] += len(frame.update)
            for heard in self._listeners.get(topic, ()):
                heard(frame)

    def _bind(self, topic: str, update: bytes, by: str) -> None:
        known = self._writers.setdefault(topic, {})
        document = self._books.documents[topic]
        clients = document.writers_in(update)
        if any(known.get(client, by) != by for client in clients):
            clients = document.new_writers_in(update)  # what everybody has already may be said again
        for client in clients:
            if (other := known.get(client, by)) != by:
                raise BoardError(f"{by} cannot write under the client id of {other}")
        if new := {client: by for client in clients if client not in known}:
            if len(known) + len(new) > _CLIENTS:
                raise BoardError(f"more than {_CLIENTS} clients have written this file")
            writers = known | new
            value = json.dumps({str(client): writers[client] for client in sorted(writers)}, ensure_ascii=False)
            self._books.write(Put(map=WRITERS, key=topic, value=value))
            known.update(new)

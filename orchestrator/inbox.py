"""How other processes of the same user speak to a run: files in its folder, each taken in once, also by whoever resumes it.

A message is written whole or not at all. Its file goes away after it was acted upon, so a kill in between repeats it; every
message means the same when it is said twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from orchestrator.files import delete, read_bounded, write_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Message", "messages", "send"]

_LONGEST = 64 * 1024  # bytes
_POLL = 0.5  # seconds between two looks; an empty folder costs some microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What somebody wants of a run: `answer` a question (`about`) with a text, `cancel` a task, or `pause` or `unpause` it."""

    kind: Literal["answer", "cancel", "pause", "unpause"]
    about: str = ""
    text: str = ""


def send(run_folder: Path, message: Message) -> None:
    """Leave a message for a run."""
    folder = run_folder / "inbox"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{time.time_ns():020}-{secrets.token_hex(4)}.json"
    write_whole(folder / name, json.dumps(asdict(message)).encode())


async def messages(run_folder: Path, stop: asyncio.Event) -> AsyncIterator[Message]:
    """Yield the messages of a run in the order in which they were left, and those that come, until `stop`.

    One is gone once the next is asked for. What cannot be read is thrown away.
    """
    folder = run_folder / "inbox"
    while not stop.is_set():
        for place in sorted(folder.glob("[0-9]*.json")):
            if (message := _read(place)) is not None:
                yield message
            delete(place)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _POLL)


def _read(place: Path) -> Message | None:
    try:
        return _MESSAGE.validate_json(read_bounded(place, _LONGEST))
    except (OSError, ValidationError):
        return None


_MESSAGE = TypeAdapter(Message)

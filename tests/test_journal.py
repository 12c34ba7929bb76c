"""The journal: what was written down is there after any kill, and one process writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StoreError, UsageError
from orchestrator.journal import Journal, is_free, read_journal
from orchestrator.model.events import Noticed

if TYPE_CHECKING:
    from pathlib import Path


def texts(path: Path) -> list[str]:
    return [event.text for _, event in read_journal(path) if isinstance(event, Noticed)]


def test_a_journal_cut_at_any_byte_keeps_every_whole_event_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal, ends = Journal(path, clock=lambda: 1.5), []
    for text in ("one", "two", "three"):
        journal.append(Noticed(text=text))
        journal.sync()
        ends.append(path.stat().st_size)
    journal.close()
    whole = path.read_bytes()
    for size in range(8, len(whole) + 1):
        path.write_bytes(whole[:size])
        kept = sum(end <= size for end in ends)
        assert texts(path) == ["one", "two", "three"][:kept]
        again = Journal(path)
        again.append(Noticed(text="more"))
        again.close()
        assert texts(path) == [*["one", "two", "three"][:kept], "more"]


def test_damage_in_the_middle_is_said_and_nothing_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    for text in ("one", "two", "three"):
        journal.append(Noticed(text=text))
    journal.close()
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged at byte 8, and whole records follow"):
        Journal(path)
    assert path.read_bytes() == data


def test_one_process_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal"
    journal = Journal(path)
    assert not is_free(path)
    with pytest.raises(UsageError, match="The run run is being worked on by another process"):
        Journal(path)
    journal.close()
    assert is_free(path)

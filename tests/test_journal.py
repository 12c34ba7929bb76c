"""The journal: what was written down is there after any kill, one process writes it, and its stored state is only an aid."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import DiskError, StoreError, UsageError
from orchestrator.journal.journal import Journal, follow_journal, is_free, read_journal, state_in
from orchestrator.journal.record_file import RecordFile
from orchestrator.model.events import Assigned, Event, Noticed, PlanEdited, Resumed, RunEnded, RunStarted
from orchestrator.model.finding import CheckResult
from orchestrator.model.state import RunState, fold


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
    for look in (Journal, lambda path: list(read_journal(path))):
        with pytest.raises(StoreError, match="is damaged at byte 8, and whole records follow"):
            look(path)
    assert path.read_bytes() == data


def test_what_is_not_on_the_disk_is_never_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append(Noticed(text="one"))
    journal.sync()
    path.unlink()
    journal.append(Noticed(text="two"))
    for _ in range(2):  # whoever asks, whether he waited meanwhile or comes later
        with pytest.raises(DiskError, match="was deleted"):
            journal.sync()
    with pytest.raises(DiskError, match="was deleted"):
        journal.append(Noticed(text="three"))
    journal.close()


def test_who_follows_a_run_hears_all_of_it_and_comes_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ended = RunEnded(status="partial", commit="c", seconds=1)
    journal = Journal(path)
    first: list[Event] = [ended, Resumed(commit="c", jobs=1, pid=1), Noticed(text="goes on")]
    for event in first:
        journal.append(event)
    following = follow_journal(path)
    assert [event for _, event in itertools.islice(following, len(first))] == first
    last: list[Event] = [ended, Noticed(text="a folder stays")]
    for event in last:
        journal.append(event)
    assert [event for _, event in following] == last
    journal.close()


@pytest.mark.parametrize(
    "body",
    [
        b'{"at":1,"kind":"of-a-later-version"}',
        b'{"at":1,"kind":"noticed","text":"x","more":1}',
        b'{"at":1,"kind":"noticed"}',
        b'{"kind":"noticed","text":"x"}',
        b"[]",
        b"no JSON",
    ],
)
def test_what_another_version_wrote_is_said_and_left_alone(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "journal"
    closed_journal(path, 3)
    file = RecordFile(path, b"orjrnal1", "journal")
    file.append([body])
    file.close()
    whole = path.read_bytes()
    for read in (state_in, Journal, lambda at: list(read_journal(at))):
        with pytest.raises(StoreError, match="has an event that this version of orch does not know"):
            read(path)
    assert path.read_bytes() == whole


def test_one_process_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal"
    journal = Journal(path)
    assert not is_free(path)
    with pytest.raises(UsageError, match="The run run is being worked on by another process"):
        Journal(path)
    journal.close()
    assert is_free(path)


# The state that is stored beside the journal.

NUMBERS = st.floats(0, 1e6)
TEXTS = st.text(st.characters(), max_size=5)  # halves of pairs too: a refusal may name a path that is no UTF-8
BY_TYPE: dict[Any, Any] = {"str": TEXTS, "float": NUMBERS, "CheckResult": st.builds(CheckResult, seconds=NUMBERS)}
IDS = st.sampled_from(["A", "B", "C", "kind", "entries"])
LISTS = st.lists(IDS, min_size=1, unique=True).map(tuple)
AT_ANY_TIME = [kind for kind in Event.__args__ if kind not in {RunStarted, PlanEdited}]


def built(kind: type[Any], **chosen: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return any event of a kind, with these fields chosen so."""
    return st.builds(kind, **{f.name: chosen.get(f.name, BY_TYPE.get(f.type, ...)) for f in fields(kind)})


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Return events of every kind in any order that a fold can take: those of a task name one that the plan has."""
    events: list[Event] = [draw(built(RunStarted, tasks=LISTS))]
    state = fold(RunState(), events[0])
    for kind in draw(st.lists(st.sampled_from([*AT_ANY_TIME, PlanEdited]), max_size=25)):
        known = st.sampled_from(list(state.tasks))
        if kind is PlanEdited:
            tasks = draw(LISTS)
            new = tuple(t for t in tasks if t not in state.all_tasks)
            event = draw(
                built(PlanEdited, tasks=st.just(tasks), added=st.just(new), changed=st.lists(known).map(tuple))
            )
        else:
            event = draw(built(kind, task=known))
        events.append(event)
        state = fold(state, event)
    return events


def folded(path: Path) -> RunState:
    state = RunState()
    for _, event in read_journal(path):
        state = fold(state, event)
    return state


def same(one: RunState, other: RunState) -> bool:
    """Tell whether both are equal in every type too: a state as a mere text equals its enum, and is not it."""
    return one == other and repr(one) == repr(other)


@pytest.mark.exhaustive
@settings(max_examples=60, deadline=None)
@given(data=st.data(), events=histories())
def test_a_stored_state_and_what_follows_is_the_fold_of_all(data: st.DataObject, events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        journal = Journal(path)
        for event in events:
            journal.append(event)
            if data.draw(st.integers(0, 5)) == 0:
                journal.close()
                journal = Journal(path)
                assert same(journal.state, folded(path))
        stored = path.with_name("journal.state")
        assert same(state_in(path), folded(path))
        earlier = stored.read_bytes() if stored.exists() else None
        journal.close()
        assert same(state_in(path), folded(path))
        if earlier is not None:  # as a kill leaves it
            stored.write_bytes(earlier)
            assert same(state_in(path), folded(path))


def closed_journal(path: Path, count: int) -> bytes:
    """Write a journal of so many events and close it; return what was stored beside it."""
    journal = Journal(path)
    tasks = ("A", "B")
    journal.append(RunStarted(
        run="r", plan="p", tasks=tasks, plan_sha256="", mode="worktree", base="main", commit="c", jobs=1, folder="/", pid=1
    ))  # fmt: skip
    for n in range(count - 1):
        journal.append(Assigned(task=tasks[n % 2], generation=n))
    journal.close()
    return path.with_name("journal.state").read_bytes()


def test_the_stored_state_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    closed_journal(path, 9)
    other = tmp_path / "other" / "journal"
    closed_journal(other, 9)
    data = bytearray(other.read_bytes())
    data[60] ^= 1  # in a record that the stored state makes superfluous
    other.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        folded(other)
    assert same(state_in(other), folded(path))


def test_a_stored_state_of_another_version_or_layout_is_passed_over(tmp_path: Path) -> None:
    path, stored = tmp_path / "journal", tmp_path / "journal.state"
    head, _, body = closed_journal(path, 9).partition(b"\n")
    wrong = body.replace(b'"generation":7', b'"generation":70')
    words = [*head.split()[:-1], hashlib.sha256(wrong).hexdigest().encode()]
    stored.write_bytes(b" ".join(words) + b"\n" + wrong)
    assert not same(state_in(path), folded(path))  # it would be believed
    for at in range(len(words)):
        stored.write_bytes(b" ".join([*words[:at], b"1" + words[at], *words[at + 1 :]]) + b"\n" + wrong)
        assert same(state_in(path), folded(path))


def test_a_stored_state_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    path, stored = tmp_path / "journal", tmp_path / "journal.state"
    whole = closed_journal(path, 9)
    expected = folded(path)
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            stored.write_bytes(damaged)
            assert same(state_in(path), expected)
    stored.unlink()
    assert same(state_in(path), expected)
    stored.mkdir()
    journal = Journal(path)
    journal.append(Noticed(text="no place to store anything"))
    journal.close()
    assert same(state_in(path), expected)


def test_a_journal_that_is_shorter_or_another_one_is_noticed(tmp_path: Path) -> None:
    path, stored = tmp_path / "journal", tmp_path / "journal.state"
    closed_journal(path, 9)
    whole = path.read_bytes()
    for size in range(8, len(whole)):
        path.write_bytes(whole[:size])
        assert same(state_in(path), folded(path))
    assert state_in(path) != RunState()
    journal = Journal(path)  # goes on where the torn record was cut off
    for n in range(3):
        journal.append(Assigned(task="A", generation=100 + n))
        assert same(state_in(path), folded(path))
    assert same(journal.state, folded(path))
    journal.close()
    shutil.copyfile(stored, tmp_path / "kept")
    closed_journal(tmp_path / "another" / "journal", 12)
    shutil.copyfile(tmp_path / "another" / "journal", path)
    assert same(state_in(path), folded(path))
    path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="is not a journal of this version"):
        state_in(path)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        state_in(path)


def test_the_state_is_stored_now_and_then_while_the_journal_grows(tmp_path: Path) -> None:
    path, stored = tmp_path / "journal", tmp_path / "journal.state"
    journal = Journal(path)
    journal.append(Noticed(text="1"))
    for n in range(2, 2500):
        journal.append(Noticed(text=str(n)))
        assert stored.exists() == (n >= 1000)
    first = stored.read_bytes()
    assert b'"sequence":2000' in first
    journal.close()
    assert b'"sequence":2499' in stored.read_bytes()
    written = stored.stat().st_mtime_ns
    Journal(path).close()
    assert stored.stat().st_mtime_ns == written

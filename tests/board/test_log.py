from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchestrator.board import schema
from orchestrator.board.document import Document, Put
from orchestrator.board.frame import GONE, Frame
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import MAGIC, FileLog, MemoryLog, read_board, replay
from orchestrator.errors import BoardError
from orchestrator.model.claims import GrantState
from tests.board.stories import card

if TYPE_CHECKING:
    from pathlib import Path


def frames(count: int) -> list[Frame]:
    return [Frame(topic=f"topic/{n}", update=bytes([n]) * (n + 1)) for n in range(count)]


def reopened(path: Path) -> list[Frame]:
    log = FileLog(path)
    try:
        return list(log.replay())
    finally:
        log.close()


def written(path: Path, kept: list[Frame]) -> list[int]:
    """Write a log; return the file's length after each record, beginning with none."""
    log = FileLog(path)
    ends = [path.stat().st_size]
    for frame in kept:
        log.append([frame])
        ends.append(path.stat().st_size)
    log.close()
    return ends


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "board.log"
    log = FileLog(path)
    log.append(frames(3))
    log.append(frames(2))
    assert list(log.replay()) == frames(3) + frames(2)
    log.close()
    log.close()
    assert reopened(path) == frames(3) + frames(2)
    with pytest.raises(BoardError, match="is closed"):
        log.append(frames(1))


def test_cut_at_any_byte_no_whole_record_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "board.log"
    kept = frames(12)
    ends = written(path, kept)
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        torn = tmp_path / "torn.log"
        torn.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends[1:])
        log = FileLog(torn)
        assert list(log.replay()) == kept[:whole], f"cut at byte {cut}"
        log.append([Frame(topic="next", update=b"after the cut")])
        log.close()
        assert reopened(torn) == [*kept[:whole], Frame(topic="next", update=b"after the cut")]


@pytest.mark.parametrize("tail", [b"\0" * 500, b"\xff" * 30, b"rubbish that is longer than one head of a record"])
def test_rubbish_at_the_end_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "board.log"
    ends = written(path, frames(4))
    with path.open("ab") as file:
        file.write(tail)
    assert reopened(path) == frames(4)
    assert path.stat().st_size == ends[-1]


def test_damage_before_whole_records_is_an_error_and_nothing_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "board.log"
    ends = written(path, frames(8))
    data = path.read_bytes()
    for at in range(ends[3], ends[4]):
        for bit in range(
            8
        ):  # also those of the length: then the record seems to reach past the end, as a torn one does
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(BoardError, match=f"damaged at byte {ends[3]}"):
                FileLog(path)
            assert path.read_bytes() == damaged


def test_a_torn_record_is_cut_off_whatever_it_holds(tmp_path: Path) -> None:
    other, path = tmp_path / "other.log", tmp_path / "board.log"
    inner = written(other, frames(8))
    records = other.read_bytes()[inner[2] :]  # as if they followed the last whole one
    ends = written(path, [*frames(2), Frame(topic="t", update=records + b"its end")])
    whole = path.read_bytes()
    begin = whole.index(records) - inner[2]
    for cut in {*range(ends[2] + 1, ends[3])} - {begin + end for end in inner[3:]}:
        path.write_bytes(whole[:cut])
        assert reopened(path) == frames(2), f"cut at byte {cut}"
        assert path.stat().st_size == ends[2]


def test_a_board_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "board.log"
    log = FileLog(path)
    log.append(frames(1))
    with pytest.raises(BoardError, match="another process writes"):
        FileLog(path)
    assert list(log.replay()) == frames(1)
    log.close()
    assert reopened(path) == frames(1)


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("something that somebody needs")
    with pytest.raises(BoardError, match="not a board log"):
        FileLog(path)
    with pytest.raises(BoardError, match="not a board log"):
        read_board(path)
    assert path.read_text() == "something that somebody needs"
    with pytest.raises(BoardError, match="cannot be read"):
        read_board(tmp_path / "nothing.log")


def test_an_append_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """A real full file: the process may write 4 kB, so the last append is taken in part."""
    path = tmp_path / "board.log"
    code = f"""
import resource, signal
from pathlib import Path
from orchestrator.board.frame import Frame
from orchestrator.board.log import FileLog
from orchestrator.errors import BoardError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
log = FileLog(Path({str(path)!r}))
written = 0
try:
    while True:
        log.append([Frame(topic="t", update=bytes(700))])
        written += 1
except BoardError as fault:
    print(written, Path({str(path)!r}).stat().st_size % 719 == {len(MAGIC)}, "could not be written" in
    fault.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5", "True", "True"]
    assert len(reopened(path)) == 5


def test_a_dropped_document_is_not_rebuilt() -> None:
    document = Document()
    first = Frame(topic="ag/a/1", update=document.write(Put(map="m", key="k", value="1")))
    second = Frame(topic="ag/b/1", update=document.since(None))
    gone = Frame(topic="ag/a/1", update=GONE)
    assert set(replay([first, second])) == {"ag/a/1", "ag/b/1"}
    assert set(replay([first, second, gone])) == {"ag/b/1"}
    with pytest.raises(BoardError):
        replay([Frame(topic="ctl", update=b"no update")])


def test_both_logs_remember_the_same(tmp_path: Path) -> None:
    memory, file = MemoryLog(), FileLog(tmp_path / "board.log")
    for log in (memory, file):
        log.append(frames(3))
        log.append([])
    assert list(memory.replay()) == list(file.replay()) == frames(3)
    file.close()
    memory.close()
    assert list(memory.replay()) == frames(3)


def test_a_board_is_read_at_every_length_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "board.log"
    log = FileLog(path)
    ledger = Ledger(log, lambda: 0.0)
    ledger.publish_tasks([card("T", "todo")])
    ledger.open("T")
    ledger.release("T", GrantState.FAILED, note="no luck")
    log.close()
    data = path.read_bytes()
    lengths = []
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        documents = read_board(path)
        lengths.append(len(documents[schema.CTL].entries(schema.LOG)) if documents else 0)
        assert path.stat().st_size == cut, "reading changes nothing"
    assert lengths == sorted(lengths)
    assert set(lengths) == {0, 1, 2, 3}


def test_a_board_is_read_while_another_process_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "board.log"
    code = f"""
from pathlib import Path
from orchestrator.board.ledger import Ledger
from orchestrator.board.log import FileLog
ledger = Ledger(FileLog(Path({str(path)!r})), lambda: 0.0)
ledger.note("began")
print("began", flush=True)
for n in range(1500):
    ledger.note("count", n=n, filling="x" * (n % 300))
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "began\n"
    seen = []
    while writer.poll() is None:
        entries = read_board(path)[schema.CTL].entries(schema.LOG)
        seen.append(schema.decode_entry(entries[-1]).seq)
    writer.stdout.close()
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert schema.decode_entry(read_board(path)[schema.CTL].entries(schema.LOG)[-1]).seq == 1501

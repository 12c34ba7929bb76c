from __future__ import annotations

import itertools
import subprocess
import sys

import pycrdt
import pytest

from orchestrator.board.document import NO_CHANGE, Append, Document, Put, Remove
from orchestrator.errors import BoardError

ODD = 'a"\\\n\t\x00\x1b[31m é漢😀\u2028\u202e/'


def test_values_and_keys_come_back_as_they_were() -> None:
    writer, reader = Document(), Document()
    update = writer.write(Put(map="m", key=ODD, value=ODD), Append(array="a", value=ODD, keep=5))
    reader.apply(update)
    assert reader.items("m") == {ODD: ODD}
    assert reader.entries("a") == [ODD]
    assert reader.get("m", ODD) == ODD
    assert reader.get("m", "nothing") is None


def test_one_write_is_one_update_and_nothing_is_none() -> None:
    writer, reader = Document(), Document()
    first = writer.write(Put(map="m", key="a", value="1"), Put(map="m", key="b", value="2"))
    reader.apply(first)
    assert reader.items("m") == {"a": "1", "b": "2"}
    assert writer.write() == NO_CHANGE
    assert writer.write(Remove(map="m", key="nothing")) == NO_CHANGE
    reader.apply(writer.write(Remove(map="m", key="a")))
    assert reader.items("m") == {"b": "2"}


@pytest.mark.parametrize(
    "change",
    [
        Put(map="m", key="k", value="\ud800"),
        Put(map="m", key="\ud800", value="v"),
        Remove(map="m", key="\ud800"),
        Append(array="a", value="\ud800", keep=1),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_changes(change: Put | Remove | Append) -> None:
    document = Document()
    with pytest.raises(BoardError, match="not valid Unicode"):
        document.write(Put(map="m", key="first", value="1"), change)
    assert document.items("m") == {}
    assert document.since(None) == NO_CHANGE


@pytest.mark.parametrize("update", [b"", b"\x00", b"garbage", b"\xff" * 40])
def test_what_is_no_update_is_an_ordinary_error(update: bytes) -> None:
    with pytest.raises(BoardError, match="could not apply an update"):
        Document().apply(update)


def test_an_update_that_failed_leaves_nothing_to_send() -> None:
    document = Document()
    with pytest.raises(BoardError, match="could not apply an update"):
        document.apply(Document().write(Put(map="m", key="k", value="v")), b"garbage")
    assert document.write() == NO_CHANGE


def test_a_panic_of_the_library_is_an_ordinary_error() -> None:
    # In another process, since the library prints a panic, with its trace, to the real stderr. A text that
    # hides what it holds gets past our own check and panics below.
    code = """
from orchestrator.board.document import Document, Put
from orchestrator.errors import BoardError
class Sly(str):
    def encode(self, *_):
        return b""
document = Document()
try:
    document.write(Put(map="m", key="k", value=Sly("\\ud800")))
except BoardError as fault:
    print(isinstance(fault.__cause__, Exception), document.items("m"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False {}\n"  # the cause was a BaseException, and nothing was written


def test_an_array_is_trimmed_in_batches() -> None:
    writer, reader = Document(), Document()
    lengths = []
    for n in range(25):
        reader.apply(writer.write(Append(array="a", value=str(n), keep=5)))
        lengths.append(len(reader.entries("a")))
    assert max(lengths) == 9
    assert min(lengths[5:]) == 5
    assert reader.entries("a") == [str(n) for n in range(25 - lengths[-1], 25)]


def test_a_foreign_value_is_never_taken_for_text() -> None:
    foreign: pycrdt.Doc[pycrdt.Map[object]] = pycrdt.Doc()
    values: pycrdt.Map[object] = pycrdt.Map()
    foreign["m"] = values
    for key, value in {
        "number": 1,
        "none": None,
        "list": ["x"],
        "map": pycrdt.Map({"a": "b"}),
        "text": "t",
    }.items():
        values[key] = value
    document = Document()
    document.apply(foreign.get_update())
    assert document.items("m") == {"text": "t"}
    with pytest.raises(BoardError, match="is not text"):
        document.get("m", "number")
    with pytest.raises(BoardError, match="is not text"):
        document.get("m", "map")


def test_touched_keys_are_noted_once() -> None:
    writer, reader = Document(), Document()
    reader.apply(writer.write(Put(map="m", key="before", value="1")))
    reader.watch("m")
    reader.watch("m")
    assert reader.touched("m") == []
    reader.apply(writer.write(Put(map="m", key="b", value="1"), Put(map="m", key="a", value="1")))
    reader.apply(writer.write(Remove(map="m", key="before"), Put(map="other", key="z", value="1")))
    assert reader.touched("m") == ["a", "b", "before"]
    assert reader.touched("m") == []


def test_a_difference_brings_a_replica_up_to_date() -> None:
    writer, reader = Document(), Document()
    reader.apply(writer.write(Put(map="m", key="a", value="1")))
    for n in range(50):
        writer.write(Put(map="m", key=str(n % 7), value=str(n)), Append(array="a", value=str(n), keep=10))
    reader.apply(writer.since(reader.state()))
    assert reader.items("m") == writer.items("m")
    assert reader.entries("a") == writer.entries("a")
    assert reader.state() == writer.state()


def test_updates_of_one_writer_must_keep_their_order() -> None:
    """Why channels are first-in first-out: in another the library ends wrong (or was mended)."""
    writer = Document()
    updates = [writer.write(Put(map="m", key=key, value=str(n))) for n, key in enumerate("abab")]
    wrong = 0
    for order in itertools.permutations(updates):
        reader = Document()
        for update in order:
            reader.apply(update)
        wrong += reader.items("m") != {"a": "2", "b": "3"}
    assert wrong == 12
    in_order = Document()
    in_order.apply(*updates)
    assert in_order.items("m") == {"a": "2", "b": "3"}

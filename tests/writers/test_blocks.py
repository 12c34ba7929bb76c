"""What comes of the blocks of an answer, without a model: however it is cut, and whoever else writes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.text.document import FileText, Insert
from orchestrator.text.slots import Slots
from orchestrator.writers.blocks import BlockWriter
from orchestrator.writers.cursors import Cursors, PlaceCursor, Target
from orchestrator.writers.judging import why_worse
from tests.writers.answers import BODY, PATH, SCAFFOLD, WRITTEN, block

if TYPE_CHECKING:
    from orchestrator.agents.anthropic_environment import Deed

ANSWER = (
    f"Words.\n{block(BODY, 'A')} and {block('x = (', 'A')}<b>\n{block('y = 1', 'nobody')}{block('é = 2 </invoke>', 'B')}"
    f"{block('', 'B')}{block('z = 3', 'B')[:-4]}"
)


def written(chunks: list[str]) -> tuple[str, list[Deed], str]:
    text = FileText()
    text.edit(Insert(0, (SCAFFOLD,)))
    seat: Any = _Alone(text)
    cursors = Cursors({PATH: seat}, lambda _path: "")
    first = cursors.replace_marker(PATH, ["body"])
    assert first is not None
    second = cursors.place(PlaceCursor(path=PATH, where="start", new_line=True))
    names = {"A": first.token, "B": second.token}
    writer = BlockWriter(lambda name: cursors.target(names.get(name, name)))
    for chunk in chunks:
        writer.hear(chunk)
    deeds = list(writer.finish())
    cursors.close(done=True)
    assert not text.layout().slots
    return str(text), deeds, writer.said


@dataclass
class _Alone:
    """A seat at a file that nobody else writes."""

    text: FileText

    @property
    def slots(self) -> Slots:
        return Slots(self.text, "agent a")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, len(ANSWER)), max_size=40))
def test_however_an_answer_is_cut_the_same_comes_of_it(cuts: list[int]) -> None:
    ends = sorted({0, len(ANSWER), *cuts})
    text, deeds, said = written([ANSWER[start:end] for start, end in itertools.pairwise(ends)])
    assert text == "é = 2 \n" + WRITTEN
    assert [deed.result.failed for deed in deeds] == [False, True, True, False, True, True]
    assert said.startswith("Words.")
    assert "x = (" not in said


@pytest.mark.parametrize(
    ("others", "block", "stays"),
    [
        ("", "é = (1,\n     2)", True),
        ("", "é = (1,", False),
        ("class A:\n    def ö(self):\n        return (", "é = 1", True),  # together more errors than apart
        ("class A:\n    def ö(self):\n        return (", "é = )", False),
        ("x = (1,\n     '漢", "é = ((", False),  # together no more errors than apart
        ("if ö:\n    x = 1", "else:\n    x = 2", True),
        ("if ö:\n    x = 1", "elsewhere:\n  x = (", False),
    ],
)
def test_a_block_is_not_judged_by_what_others_have_not_finished(others: str, block: str, *, stays: bool) -> None:
    text = FileText()
    text.edit(Insert(0, ("# 漢\n\n# end\n",)))
    Slots(text, "agent b").open(4)[0].append(f"{others}\n" if others else "")
    slot, _ = Slots(text, "agent a").open(4 + len(others) + bool(others))
    slot.append(block)
    seat: Any = _Alone(text)
    why = why_worse(Target(path=PATH, seat=seat, slot=slot), len(block))
    assert (not why) == stays, (why, str(text))

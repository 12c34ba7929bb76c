"""What commits do to files, as git itself tells it: edits, renames, merges; and where the history that matters begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.git import query
from orchestrator.git.repository import Repository
from orchestrator.model.replay import Gone, Made, Taken
from orchestrator.provenance.line_owners import lineage_of, owners_of_lines, steps_of
from tests.support.histories import History, file, lines

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.git.command import Git


@pytest.fixture
def told(tmp_path: Path) -> tuple[Git, list[str]]:
    """Write seven commits: a start, a change, a move, a move with a change, a side branch, its merge, and a deletion."""
    history = History()
    text = lines("a")
    history.commit({"a": file(text), "b": file(lines("b"))})
    history.commit({"a": file(text + "more\n")})
    history.commit(history.move("a", "sub/a"))
    history.commit({"b": None, "c": file(lines("b") + "and more\n")})
    side = history.commit({"side": file("side\n")}, after=history.tip)
    history.commit({"side": file("side\n")}, merge=(side,))
    history.commit({"sub/a": None})
    repo, ids = history.write(tmp_path / "repo")
    return Repository.open(repo.path).own, ids


def test_each_kind_of_change_is_told_as_where_the_lines_come_from(told: tuple[Git, list[str]]) -> None:
    git, ids = told
    written = [query.commit_record(git, ids[1])]
    lineage = lineage_of(git, ids[6], written)
    assert set(lineage) == set(ids[1:])  # nothing before the first commit that is asked about
    steps = {step.commit: step for step in steps_of(git, lineage, {ids[1]})}
    assert [commit for commit, step in steps.items() if step.owns] == [ids[1]]
    assert steps[ids[2]].moves == {"a": Gone(), "sub/a": Taken(ids[1], "a")}
    moved = steps[ids[3]].moves["c"]
    assert isinstance(moved, Made)
    assert [(source.parent, source.path) for source in moved.sources] == [(ids[2], "b")]
    assert steps[ids[5]].moves == {"side": Taken(ids[4], "side")}
    assert steps[ids[6]].moves == {"sub/a": Gone()}


def test_only_lines_of_those_asked_about_have_an_owner(told: tuple[Git, list[str]]) -> None:
    git, ids = told
    written = [query.commit_record(git, ids[number]) for number in (4, 1)]
    owning = {ids[1], ids[4]}
    found = owners_of_lines(git, ids[5], lineage_of(git, ids[5], written), owning)
    assert list(found["sub/a"].ranges(9)) == [(1, 8, None), (9, 9, ids[1])]
    assert list(found["side"].ranges(1)) == [(1, 1, ids[4])]
    assert lineage_of(git, ids[5], []) == {}
    assert owners_of_lines(git, ids[5], {}, owning) == {}

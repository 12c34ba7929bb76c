"""Whose each line is, of many files at once, against plain `git blame` of each file, over random histories."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.git import query
from orchestrator.git.repository import Repository
from orchestrator.model.replay import Changed
from orchestrator.model.trailers import Provenance, message_with
from orchestrator.provenance import View, Who, all_lines, lines_by, origins
from orchestrator.provenance.past import Past
from tests.support.histories import file, lines, random_history

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.provenance.lines import Range
    from tests.support.repos import Repo

pytestmark = pytest.mark.e2e

COMMITS = 45
BLANK = dict.fromkeys(Provenance.__dataclass_fields__, "0123456789abcdef")


def by(task: str, agent: str) -> str:
    """Return the message of a commit that a task has made."""
    values = {**BLANK, "task": task, "agent": agent, "model": f"{agent}@1", "generation": 1}
    return message_with(task, "", Provenance(**values))  # type: ignore[arg-type]


def made(folder: Path, seed: int) -> tuple[Repo, dict[str, tuple[str, str]]]:
    """Write a random history in which about half of the commits come from tasks; return commit → (task, agent) of those.

    It ends with a file that a task adds, and two changes of it by hand.
    """
    history, dice = random_history(seed, COMMITS), random.Random(seed)
    numbers = range(8, len(history.commits))
    chosen = {n: (f"T{n % 5}", dice.choice(["one", "two"])) for n in numbers if dice.random() < 0.5}
    chosen[len(history.commits)] = ("T2", "two")
    text = lines("a task wrote this")
    for change in ("", " 3", " 4"):
        text = text.replace(f"{change}\n", f"{change}, changed by hand\n") if change else text
        history.commit({"z": file(text)})
    for number, who in chosen.items():
        history.commits[number] = replace(history.commits[number], message=by(*who).encode())
    repo, ids = history.write(folder)
    return repo, {ids[number]: who for number, who in chosen.items()}


def blamed(repo: Repo, path: str, *options: str) -> list[str]:
    """Return the commit of each line of a file, as plain git has it."""
    found, commit = [], ""
    for raw in repo.git_bytes("blame", "--porcelain", *options, "main", "--", path).split(b"\n"):
        if raw.startswith(b"\t"):
            found.append(commit)
            commit = ""
        elif raw and not commit:
            commit = raw.split(b" ")[0].decode()
    return found


def owners(ranges: Iterable[Range]) -> list[str | None]:
    """Return the commit of a run, line by line."""
    return [part.commit for part in ranges for _ in range(part.first, part.last + 1)]


def view_of(repo: Repo, **options: bool) -> View:
    """Look at the branch `main`, past what the repository says unless asked otherwise."""
    return View(Repository.open(repo.path).own, "main", **options)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_folders_ranges_tasks_and_agents_are_as_git_blames_each_file(tmp_path: Path, seed: int) -> None:
    repo, who = made(tmp_path / "repo", seed)
    view = view_of(repo)
    found = all_lines(view, view.files())
    expected = {path: [c if c in who else None for c in blamed(repo, path)] for path in found.files}
    assert {path: owners(ranges) for path, ranges in found.files.items() if ranges} == {
        path: commits for path, commits in expected.items() if found.files[path]
    }
    for path in found.files:
        if found.files[path] and len(expected[path]) > 2:
            clipped = found.clipped((2, len(expected[path]) - 1)).files[path]
            assert owners(clipped) == expected[path][1:-1]
            assert [o.commit for o in origins(view, path, (2, 3))] == blamed(repo, path)[1:3]
    for kind, place, name in (("task", 0, "T2"), ("agent", 1, "two")):
        said = lines_by(view, Who(**{kind: name}), view.files())
        numbers = {path: [n for a, b in spans for n in range(a, b + 1)] for path, spans in said.items()}
        wanted = {
            path: [n for n, c in enumerate(blamed(repo, path), 1) if c in who and who[c][place] == name]
            for path in view.files()
        }
        assert numbers == {path: found for path, found in wanted.items() if found}


@pytest.mark.parametrize("seed", [4, 5])
def test_commits_to_look_past_are_looked_past_as_git_does(tmp_path: Path, seed: int) -> None:
    repo, who = made(tmp_path / "repo", seed)
    commits = repo.git("rev-list", "main").split()
    past = [commits[0], *random.Random(seed).sample(commits[1:], len(commits) // 3)]
    (repo.path / ".git-blame-ignore-revs").write_text(
        "# formatting\n" + "".join(f"{c}  # why\n" for c in past) + "0" * 40
    )
    view, options = view_of(repo), [f"--ignore-rev={c}" for c in past]
    found = all_lines(view, view.files())
    texts = [path for path, ranges in found.files.items() if ranges]
    expected = {path: [c if c in who else None for c in blamed(repo, path, *options)] for path in texts}
    assert {path: owners(found.files[path]) for path in texts} == expected
    assert {path: [o.commit for o in origins(view, path)] for path in texts} == {
        path: blamed(repo, path, *options) for path in texts
    }
    plainly = view_of(repo, ignore_revs=False)
    plain = {path: owners(all_lines(plainly, {path: view.files()[path]}).files[path]) for path in texts}
    assert plain == {path: [c if c in who else None for c in blamed(repo, path)] for path in texts}
    assert plain != expected


@pytest.mark.parametrize("seed", [1, 9])
def test_whose_line_it_was_is_the_same_by_replay_and_by_asking_git(tmp_path: Path, seed: int) -> None:
    repo, _ = made(tmp_path / "repo", seed)
    view = view_of(repo)
    found = all_lines(view, view.files())
    changed, past = 0, Past(view)
    for path, ranges in found.files.items():
        hands = [r.owner if isinstance(r.owner, Changed) else None for r in ranges for _ in range(r.first, r.last + 1)]
        changed += sum(hand is not None for hand in hands)
        asked = query.blame(view.git, view.head, path=path) if ranges else ()
        was = [None if line.commit in view.provenance else past.was(line) for line in asked]
        assert [Changed(line.commit, w) if w else None for line, w in zip(asked, was, strict=True)] == hands
        told = [o.was for o in origins(view, path)] if ranges else []
        assert told == [view.provenance[hand.was] if hand else None for hand in hands]
    assert changed >= 2

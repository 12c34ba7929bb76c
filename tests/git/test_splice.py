"""Merges that need no merging: what a chain puts together in memory is, object for object, what git's merge would make."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import GitError
from orchestrator.git import query
from orchestrator.git.durable import sync_steps
from orchestrator.git.parse import Change
from orchestrator.git.repository import Repository, private_git_folder
from orchestrator.git.splice import Chain
from tests.support.repos import Repo

if TYPE_CHECKING:
    from pathlib import Path

Files = dict[str, str]

PATHS = ("a", "a/x", "a/y", "a/b/x", "a/b/y", "a.x", "a-/x", "b", "b/x", "ü/x", "c/d/e/f")
"""Some cannot be there together: where they would meet, the shorter one goes."""

FILES = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["1\n", "2\n", "1\n2\n3\n"]))
EDITS = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["4\n", "1\n2\n3\n4\n", None]), max_size=4)


def possible(files: Files) -> Files:
    """Leave out each file where a folder of others would be."""
    return {path: text for path, text in files.items() if not any(other.startswith(f"{path}/") for other in files)}


def edited(files: Files, edits: dict[str, str | None]) -> Files:
    return possible({path: text for path, text in {**files, **edits}.items() if text is not None})


def write_commits(repo: Repo, start: Files, works: list[Files]) -> tuple[str, list[str]]:
    """Commit files, and others on top of them; return all these commits."""

    def commit(name: str, files: Files) -> str:
        entries = (f'M 100644 inline "{p}"\ndata {len(text.encode())}\n{text}\n' for p, text in files.items())
        parent = "" if name == "start" else "from refs/heads/start\n"
        head = f"commit refs/heads/{name}\ncommitter c <c@example.org> 1 +0000\ndata 0\n{parent}deleteall\n"
        return head + "".join(entries)

    names = [f"work-{number}" for number in range(len(works))]
    stream = commit("start", start) + "".join(commit(name, files) for name, files in zip(names, works, strict=True))
    repo.git("fast-import", "--quiet", "--force", stdin=stream.encode())
    return repo.head("start"), [repo.head(name) for name in names]


def opened(tmp: Path, algorithm: str = "sha1") -> tuple[Repo, Repository]:
    repo = Repo(tmp / "repo")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--bare", f"--object-format={algorithm}")
    found = Repository.open(repo.path)
    return repo, replace(found, objects=private_git_folder(found, tmp))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repo, Repository]:
    return opened(tmp_path_factory.mktemp("splice"))


def meet(one: tuple[Change, ...], others: set[str]) -> bool:
    """Tell whether a change has a path in common with others, or one that is inside or around one of theirs."""
    return any(f"{c.path}/".startswith(f"{o}/") or f"{o}/".startswith(f"{c.path}/") for c in one for o in others)


@pytest.mark.exhaustive
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=FILES, edits=st.lists(EDITS, min_size=1, max_size=4))
def test_a_chain_is_what_git_would_merge(
    place: tuple[Repo, Repository], start: Files, edits: list[dict[str, str | None]]
) -> None:
    repo, git = place[0], place[1].objects
    files = possible(start)
    tip, works = write_commits(repo, files, [edited(files, edit) for edit in edits])
    own = query.changes_of_each(git, [(tip, work) for work in works])
    seen: set[str] = set()
    for work, changes in zip(works, own, strict=True):
        chain = Chain(git, tip)
        tree = chain.put(changes)
        added, deleted = tuple(c for c in changes if c.added), {c.path for c in changes if c.deleted}
        assert tree is not None or meet(changes, seen) or meet(added, deleted), "what meets nothing needs no merge"
        if tree is None:
            continue
        merged = query.merge_in_memory(git, tip, work)
        assert (tree, ()) == (merged.tree, merged.conflicts)
        tip = chain.commit(tree, [tip, work], "land\n", "somebody")
        chain.write()
        assert query.tree_of(git, tip) == tree
        seen |= {c.path for c in changes}


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_one_pack_has_all_of_a_chain_and_a_landing_needs_it(tmp_path: Path, algorithm: str) -> None:
    repo, repository = opened(tmp_path, algorithm)
    files = {f"d{n}/f": "1\n" for n in range(5)}
    start, works = write_commits(repo, files, [{**files, f"d{n}/f": "2\n", f"e/{n}": "new\n"} for n in range(5)])
    chain, tip, commits = Chain(repository.objects, start), start, list[str]()
    for work in works:
        tree = chain.put(query.changed_paths(repository.objects, start, work))
        assert tree is not None
        tip = chain.commit(tree, [tip, work], "land\n", "somebody")
        commits.append(tip)
    pack = chain.write()
    repo.git("fsck", "--strict", tip)
    assert {p: repo.show(p, tip) for p in repo.files(tip)} == {
        **{f"d{n}/f": "2\n" for n in range(5)},
        **{f"e/{n}": "new\n" for n in range(5)},
    }
    there = dict.fromkeys(commits, pack)
    assert sync_steps(repository, tip, start, there)
    assert sync_steps(repository, tip, start, {}), "also object by object"
    pack.unlink()
    assert not sync_steps(repository, tip, start, there)


def test_what_refers_to_nothing_is_not_written(tmp_path: Path) -> None:
    repo, repository = opened(tmp_path)
    start, _ = write_commits(repo, {"a": "1\n"}, [])
    chain = Chain(repository.objects, start)
    gone = Change(path="b", old_mode="000000", new_mode="100644", old_blob="0" * 40, new_blob="5" * 40)
    assert chain.put([gone]) is not None
    with pytest.raises(GitError):
        chain.write()

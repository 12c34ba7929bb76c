"""Git's bytes as values, on bytes that git 2.39 printed."""

from __future__ import annotations

from orchestrator.git.parse import (
    Ref,
    commit_time,
    parse_blame,
    parse_commits,
    parse_merge,
    parse_raw_diff,
    parse_refs,
    parse_worktrees,
)

A, B, Z = "a" * 40, "b" * 40, "0" * 40


def test_raw_diff_shows_each_side_and_keeps_undecodable_names() -> None:
    out = f":100644 000000 {A} {Z} D\0old name\n.py\0:000000 120000 {Z} {B} A\0caf".encode() + b"\xe9\0"
    gone, link = parse_raw_diff(out)
    assert (gone.path, gone.deleted, gone.added) == ("old name\n.py", True, False)
    assert (link.path, link.is_link, link.new_blob) == ("caf\udce9", True, B)


def test_raw_diff_skips_the_commit_lines_of_log() -> None:
    out = f"{A}\0:160000 160000 {A} {B} M\0sub\0{B}\0".encode()
    (change,) = parse_raw_diff(out)
    assert change.is_submodule


def test_merge_lists_each_path_in_conflict_once() -> None:
    assert parse_merge([A.encode(), b""]).conflicts == ()
    merged = parse_merge(f"{A}\0a.py\0b.py\0a.py\0".encode().split(b"\0"))
    assert (merged.tree, merged.conflicts) == (A, ("a.py", "b.py"))


def test_worktrees_with_and_without_a_branch() -> None:
    out = f"worktree /r\0HEAD {A}\0branch refs/heads/main\0\0worktree /w x\0HEAD {A}\0detached\0prunable gone\0\0".encode()
    first, second = parse_worktrees(out)
    assert (first.path, first.branch) == ("/r", "main")
    assert (second.path, second.branch) == ("/w x", None)


def test_blame_gives_each_line_its_place_here_and_there_and_the_text_without_its_line_end() -> None:
    out = (
        f"{A} 7 1 2\nauthor X\nprevious {B} before\nfilename old\n\tone\r\n{A} 8 2\n\t\ttwo\n"
        f'{B} 1 3 1\nauthor Y\nfilename "a\\tb \\"\\303\\274"\n\t{A} 9 9\n'
    ).encode()
    lines = parse_blame(out)
    assert [(line.number, line.commit, line.text) for line in lines] == [
        (1, A, "one"),
        (2, A, "\ttwo"),
        (3, B, f"{A} 9 9"),
    ]
    assert [(line.there, line.path, line.previous) for line in lines] == [
        (7, "old", (B, "before")),
        (8, "old", (B, "before")),
        (1, 'a\tb "ü', None),
    ]


def test_commits_with_several_parents_and_paragraphs() -> None:
    out = f"{A}\0{B} {Z}\0subject\n\nbody\n\0\n{B}\0\0root\n\0\n".encode()
    first, second = parse_commits(out)
    assert (first.id, first.parents, first.message) == (A, (B, Z), "subject\n\nbody\n")
    assert (second.id, second.parents) == (B, ())


def test_refs_that_point_at_refs_are_told_apart() -> None:
    out = f"{A} refs/heads/caf".encode() + f"\xe9 \n{B} refs/heads/alias refs/heads/main\n".encode("latin-1")
    assert parse_refs(out) == (Ref("refs/heads/caf\udce9", A, False), Ref("refs/heads/alias", B, True))
    assert parse_refs(b"") == ()


def test_the_time_of_a_commit_is_its_committers() -> None:
    head = f"tree {A}\nauthor X <x> 1 +0000\ncommitter a > b <x> 1767323045 -0130\n"
    assert commit_time(f"{head}\ncommitter no 5 +0\n".encode()) == 1767323045
    assert commit_time(f"tree {A}\n\ncommitter no <x> 5 +0\n".encode()) == 0

"""Git's bytes as values: one pure parser for each answer that `query` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ABSENT",
    "BlameLine",
    "Change",
    "CommitId",
    "CommitRecord",
    "MergeResult",
    "TreeId",
    "WorktreeEntry",
    "decode",
    "parse_blame",
    "parse_commit",
    "parse_commits",
    "parse_merge",
    "parse_raw_diff",
    "parse_worktrees",
    "tree_in_commit",
]

CommitId = NewType("CommitId", str)
"""The full hexadecimal name of a commit."""
TreeId = NewType("TreeId", str)
"""The full hexadecimal name of a tree."""

ABSENT = "000000"
"""The mode of a side of a change on which the path does not exist."""


def decode(raw: bytes) -> str:
    """Return a path as text; bytes that are no UTF-8 become surrogates, as `os.fsdecode` does."""
    return raw.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that differs between two trees. A rename is two of them: a delete and an add."""

    path: str
    old_mode: str
    new_mode: str
    old_blob: str
    new_blob: str

    @property
    def added(self) -> bool:
        """Tell whether the path is new."""
        return self.old_mode == ABSENT

    @property
    def deleted(self) -> bool:
        """Tell whether the path is gone."""
        return self.new_mode == ABSENT

    @property
    def is_link(self) -> bool:
        """Tell whether the path is a symbolic link afterwards."""
        return self.new_mode == "120000"

    @property
    def is_submodule(self) -> bool:
        """Tell whether the path is a commit of another repository before or afterwards."""
        return "160000" in (self.old_mode, self.new_mode)


def parse_raw_diff(out: bytes) -> tuple[Change, ...]:
    """Read `diff-tree -r -z --raw --no-renames --no-abbrev` (without the commit's own line)."""
    fields = iter(out.split(b"\0"))
    changes = []
    for head in fields:
        if not head.startswith(b":"):
            continue  # the commit line of `log` and `diff-tree --stdin`, and the end
        old_mode, new_mode, old_blob, new_blob, _status = head[1:].decode("ascii").split(" ")
        changes.append(
            Change(
                path=decode(next(fields)), old_mode=old_mode, new_mode=new_mode, old_blob=old_blob, new_blob=new_blob
            )
        )
    return tuple(changes)


@dataclass(frozen=True, slots=True)
class MergeResult:
    """A merge in memory: its tree, and the paths in conflict (empty when clean)."""

    tree: TreeId
    conflicts: tuple[str, ...]


def parse_merge(out: bytes) -> MergeResult:
    """Read `merge-tree --write-tree -z --name-only --no-messages`: the tree, then each path in conflict."""
    tree, *paths = out.split(b"\0")
    return MergeResult(TreeId(tree.decode("ascii")), tuple(dict.fromkeys(decode(p) for p in paths if p)))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeEntry:
    """One line of `git worktree list`: where it is, and the branch that is checked out there."""

    path: str
    branch: str | None
    bare: bool


def parse_worktrees(out: bytes) -> tuple[WorktreeEntry, ...]:
    """Read `worktree list --porcelain -z`."""
    entries = []
    for block in out.split(b"\0\0"):
        pairs = (line.partition(b" ") for line in block.split(b"\0"))
        fields = {decode(key): decode(value) for key, _, value in pairs if key}
        if "worktree" in fields:
            entries.append(
                WorktreeEntry(
                    path=fields["worktree"],
                    branch=fields.get("branch", "").removeprefix("refs/heads/") or None,
                    bare="bare" in fields,
                )
            )
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class BlameLine:
    """One line of a file, and the commit that git says it came from."""

    number: int
    commit: CommitId
    text: str


def parse_blame(out: bytes) -> tuple[BlameLine, ...]:
    """Read `blame --porcelain`: a header `<commit> <line there> <line here> …`, details, then a tab and the line."""
    lines: list[BlameLine] = []
    commit, number, awaiting_header = "", 0, True
    for raw in out.split(b"\n"):
        if raw.startswith(b"\t"):
            lines.append(BlameLine(number, CommitId(commit), raw[1:].decode("utf-8", "replace").removesuffix("\r")))
            awaiting_header = True
        elif awaiting_header and raw:
            name, _there, here, *_ = raw.split(b" ")
            commit, number, awaiting_header = name.decode("ascii"), int(here), False
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """A commit's name, its parents, and its whole message."""

    id: CommitId
    parents: tuple[CommitId, ...]
    message: str


def parse_commit(name: str, data: bytes) -> CommitRecord:
    """Read a commit object as it is stored."""
    head, _, message = data.partition(b"\n\n")
    lines = [line.split(b" ") for line in head.split(b"\n")]
    parents = tuple(CommitId(words[1].decode("ascii")) for words in lines if words[0] == b"parent")
    return CommitRecord(CommitId(name), parents, message.decode("utf-8", "replace"))


def tree_in_commit(data: bytes) -> TreeId:
    """Return the tree that a stored commit object names in its first line."""
    return TreeId(data[5 : data.index(b"\n")].decode("ascii"))


COMMIT_FORMAT = "%H%x00%P%x00%B%x00"
"""The `--format` that `parse_commits` reads; with `-z`, or one record ends in a newline before the next."""


def parse_commits(out: bytes) -> Iterator[CommitRecord]:
    """Read `log --format=COMMIT_FORMAT`."""
    fields = out.split(b"\0")
    for name, parents, message in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        yield CommitRecord(
            CommitId(name.strip().decode("ascii")),
            tuple(CommitId(p) for p in parents.decode("ascii").split()),
            message.decode("utf-8", "replace"),
        )

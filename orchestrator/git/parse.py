"""Git's bytes as values: one pure parser for each answer that `query` asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, NewType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "ABSENT",
    "BlameLine",
    "BlobLines",
    "Change",
    "CommitId",
    "CommitRecord",
    "MergeResult",
    "Ref",
    "TreeId",
    "WorktreeEntry",
    "commit_time",
    "decode",
    "parse_blame",
    "parse_blobs",
    "parse_commit",
    "parse_commits",
    "parse_cuts",
    "parse_merge",
    "parse_raw_diff",
    "parse_raw_diffs",
    "parse_refs",
    "parse_sources",
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
    def is_folder(self) -> bool:
        """Tell whether it is a folder, before or afterwards, of which git was asked to tell as well."""
        return "040000" in (self.old_mode, self.new_mode)

    @property
    def is_submodule(self) -> bool:
        """Tell whether the path is a commit of another repository before or afterwards."""
        return "160000" in (self.old_mode, self.new_mode)


def parse_raw_diff(out: bytes) -> tuple[Change, ...]:
    """Read `diff-tree -r -z --raw --no-renames --no-abbrev`, and what `log` prints so: the commits' own lines are left out."""
    return tuple(change for changes in _raw_diffs(out) for change in changes)


def parse_raw_diffs(out: bytes) -> list[tuple[Change, ...]]:
    """Read `diff-tree --stdin --always -t -r -z --raw --no-renames --no-abbrev`: the changes under each commit's own line."""
    return [tuple(changes) for changes in _raw_diffs(out)][1:]  # before the first line there is nothing


def _raw_diffs(out: bytes) -> list[list[Change]]:
    fields = iter(out.split(b"\0"))
    found: list[list[Change]] = [[]]
    for head in fields:
        if not head.startswith(b":"):
            if head:  # empty is only the end
                found.append([])
            continue
        old_mode, new_mode, old_blob, new_blob, _status = head[1:].decode("ascii").split(" ")
        change = Change(
            path=decode(next(fields)), old_mode=old_mode, new_mode=new_mode, old_blob=old_blob, new_blob=new_blob
        )
        found[-1].append(change)
    return found


@dataclass(frozen=True, slots=True)
class MergeResult:
    """A merge in memory: its tree, and the paths in conflict (empty when clean)."""

    tree: TreeId
    conflicts: tuple[str, ...]


def parse_merge(answer: Sequence[bytes]) -> MergeResult:
    """Read what `merge-tree --write-tree -z --name-only --no-messages` says: the tree, then each path in conflict."""
    tree, *paths = answer
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
class Ref:
    """A ref's full name, the object that it points at, and whether it does so by way of another ref."""

    name: str
    id: str
    symbolic: bool


def parse_refs(out: bytes) -> tuple[Ref, ...]:
    """Read `for-each-ref --format='%(objectname) %(refname) %(symref)'`; no name holds a space."""
    fields = (decode(line).split(" ") for line in out.splitlines())
    return tuple(Ref(name, oid, bool(target)) for oid, name, target in fields)


@dataclass(frozen=True, slots=True)
class BlameLine:
    """One line of a file, and the commit that git says it came from.

    In that commit it was line number `there` of the file `path`; `previous` is the commit and the path of the file that it
    was changed in, None if the file was new.
    """

    number: int
    commit: CommitId
    text: str
    there: int
    path: str
    previous: tuple[CommitId, str] | None


def parse_blame(out: bytes) -> tuple[BlameLine, ...]:
    """Read `blame --porcelain`: a header `<commit> <line there> <line here> …`, details, then a tab and the line.

    Details that are the same as before for this commit are left out there.
    """
    lines: list[BlameLine] = []
    places: dict[str, tuple[str, tuple[CommitId, str] | None]] = {}
    commit, there, number, awaiting_header = "", 0, 0, True
    previous: tuple[CommitId, str] | None = None
    for raw in out.split(b"\n"):
        if raw.startswith(b"\t"):
            text = raw[1:].decode("utf-8", "replace").removesuffix("\r")
            lines.append(BlameLine(number, CommitId(commit), text, there, *places[commit]))
            awaiting_header = True
        elif awaiting_header and raw:
            name, line_there, here, *_ = raw.split(b" ")
            commit, there, number, awaiting_header = name.decode("ascii"), int(line_there), int(here), False
            previous = None
        elif raw.startswith(b"previous "):
            name, _, path = raw.removeprefix(b"previous ").partition(b" ")
            previous = CommitId(name.decode("ascii")), _unquoted(path)
        elif raw.startswith(b"filename "):
            places[commit] = _unquoted(raw.removeprefix(b"filename ")), previous
    return tuple(lines)


_ESCAPED = re.compile(rb"\\(?:([0-7]{3})|(.))")
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


def _unquoted(path: bytes) -> str:
    """Return a path that git has put in quotation marks if it holds anything unusual."""
    if not (path.startswith(b'"') and path.endswith(b'"') and len(path) > 1):
        return decode(path)
    return decode(_ESCAPED.sub(lambda m: bytes([int(m[1], 8)]) if m[1] else _ESCAPES.get(m[2], m[2]), path[1:-1]))


def parse_cuts(out: bytes) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
    """Read a patch with `--full-index --unified=0`: (old blob, new blob) → (lines before, lines that go, lines that come).

    Only what git itself says begins a line with `d`, `i` or `@` there; a name with a newline stands in quotation marks.
    """
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for section in (b"\n" + out).split(b"\ndiff --git ")[1:]:
        head, *hunks = section.split(b"\n@@ -")
        blobs = head.partition(b"\nindex ")[2].partition(b"\n")[0].partition(b" ")[0].decode("ascii")
        if blobs:  # else only the mode is another
            old, _, new = blobs.partition("..")
            found[old, new] = [_cut(hunk) for hunk in hunks]
    return found


def _cut(hunk: bytes) -> tuple[int, int, int]:
    old, new = hunk[: hunk.index(b" @@")].split(b" +")
    (first, removed), (_, added) = _extent(old), _extent(new)
    return first - 1 if removed else first, removed, added  # where nothing goes, git names the line before


def _extent(text: bytes) -> tuple[int, int]:
    first, comma, count = text.partition(b",")
    return int(first), int(count) if comma else 1


_SOURCE = re.compile(rb"([0-9a-f]+) ([0-9a-f]+)\n(?::[^\0]*\0([^\0]*)\0[^\0]*\0)?")


def parse_sources(out: bytes) -> dict[tuple[str, str], str | None]:
    """Read `diff-tree --stdin -z --raw --diff-filter=R` of trees with one new file: the two trees → where it was, if anywhere."""
    return {
        (found[1].decode("ascii"), found[2].decode("ascii")): None if found[3] is None else decode(found[3])
        for found in _SOURCE.finditer(out)
    }


class BlobLines(NamedTuple):
    """How many lines a blob has, one that no newline ends included, and whether git would show it as text."""

    number: int
    text: bool


_LOOKED_AT = 8000  # bytes; a NUL among them is what makes a file binary to git


def parse_blobs(out: bytes) -> dict[str, BlobLines]:
    """Read `cat-file --batch`: `<blob> blob <size>`, what it holds, and a newline."""
    found: dict[str, BlobLines] = {}
    place = 0
    while place < len(out):
        start = out.index(b"\n", place) + 1
        name, _, size = out[place : start - 1].split(b" ")
        end = start + int(size)
        open_end = end > start and out[end - 1] != 0x0A
        lines = out.count(b"\n", start, end) + open_end
        found[name.decode("ascii")] = BlobLines(lines, out.find(b"\0", start, min(end, start + _LOOKED_AT)) < 0)
        place = end + 1
    return found


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


def commit_time(data: bytes) -> int:
    """Return when a stored commit object was committed, in seconds since the epoch; 0 if it does not say so."""
    head = data.partition(b"\n\n")[0]
    words = next((line.split() for line in head.split(b"\n") if line.startswith(b"committer ")), [])
    return int(words[-2]) if len(words) > 2 and words[-2].isdigit() else 0


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

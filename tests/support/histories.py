"""Histories for tests, written by `git fast-import`: any bytes as names, any modes, any number of parents."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.repos import Repo

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Change", "Entry", "History", "file", "lines", "link", "random_history", "script", "submodule"]


@dataclass(frozen=True)
class Entry:
    """What stands at a path: a mode, and the bytes (of a submodule: the name of its commit)."""

    mode: str
    data: bytes


Change = dict[bytes | str, Entry | None]


def file(data: bytes | str = b"") -> Entry:
    """Return an ordinary file."""
    return Entry("100644", data.encode() if isinstance(data, str) else data)


def script(data: bytes | str = b"") -> Entry:
    """Return a file that can be executed."""
    return Entry("100755", file(data).data)


def link(target: bytes | str) -> Entry:
    """Return a symbolic link."""
    return Entry("120000", file(target).data)


def submodule(digit: str) -> Entry:
    """Return a commit of another repository, whose name is this digit all over."""
    return Entry("160000", digit.encode() * 40)


def lines(tag: str, count: int = 8, end: str = "\n") -> str:
    """Return some lines, each different from those under other tags."""
    return "".join(f"{tag} {number}{end}" for number in range(1, count + 1))


@dataclass(frozen=True)
class _Commit:
    parents: tuple[int, ...]
    files: dict[bytes, Entry]
    message: bytes
    author: bytes
    encoding: bytes


@dataclass
class History:
    """Commits in the order they are made; each is known by its number from 1. The last one without a side is `main`."""

    commits: list[_Commit] = field(default_factory=list)
    tip: int = 0

    def commit(
        self,
        change: Change | None = None,
        message: bytes | str = "change",
        *,
        after: int | None = None,
        merge: tuple[int, ...] = (),
        author: bytes = b"A Person <person@example.org>",
        encoding: bytes = b"",
    ) -> int:
        """Change some paths (None: they go) of the tip, or of the commit `after`, which leaves the tip where it is."""
        parent = self.tip if after is None else after
        files = dict(self.files(parent))
        for name, entry in (change or {}).items():
            path = name.encode() if isinstance(name, str) else name
            if entry is None:
                del files[path]
            else:
                files[path] = entry
        text = message.encode() if isinstance(message, str) else message
        self.commits.append(_Commit(((parent,) if parent else ()) + merge, files, text, author, encoding))
        if after is None:
            self.tip = len(self.commits)
        return len(self.commits)

    def files(self, number: int) -> dict[bytes, Entry]:
        """Return what a commit holds."""
        return self.commits[number - 1].files if number else {}

    def move(self, old: bytes | str, new: bytes | str) -> Change:
        """Return the change that moves a file of the tip."""
        return {old: None, new: self.files(self.tip)[old.encode() if isinstance(old, str) else old]}

    def write(self, path: Path, *init: str) -> tuple[Repo, list[str]]:
        """Make a repository of it, `main` checked out nowhere; return it with the names of the commits from number 1."""
        path.mkdir(parents=True)
        repo = Repo(path)
        repo.git("init", "--quiet", "--initial-branch", "main", *init)
        repo.git("fast-import", "--quiet", "--force", f"--export-marks={path}/.git/marks", stdin=self._stream())
        marks = dict(line.split() for line in (path / ".git" / "marks").read_text().splitlines())
        return repo, [marks[f":{number}"] for number in range(1, len(self.commits) + 1)]

    def _stream(self) -> bytes:
        out: list[bytes] = [b"feature done\n"]
        blobs: dict[bytes, int] = {}
        for number, commit in enumerate(self.commits, 1):
            for entry in commit.files.values():
                if entry.mode != "160000" and entry.data not in blobs:
                    blobs[entry.data] = 1_000_000 + len(blobs)
                    out.append(b"blob\nmark :%d\n%s" % (blobs[entry.data], _data(entry.data)))
            out.append(b"" if commit.parents else b"reset refs/heads/side\n\n")
            out.append(
                b"commit refs/heads/side\nmark :%d\nauthor %s %d +0000\n" % (number, commit.author, 10**9 + number)
            )
            out.append(b"committer A Person <person@example.org> %d +0000\n" % (10**9 + number))
            out.append(b"encoding %s\n" % commit.encoding if commit.encoding else b"")
            out.append(_data(commit.message))
            out += [b"%s :%d\n" % (b"merge" if nth else b"from", parent) for nth, parent in enumerate(commit.parents)]
            out.append(b"deleteall\n")
            for path, entry in commit.files.items():
                what = entry.data if entry.mode == "160000" else b":%d" % blobs[entry.data]
                out.append(b"M %s %s %s\n" % (entry.mode.encode(), what, _quoted(path)))
            out.append(b"\n")
        out.append(b"reset refs/heads/main\nfrom :%d\ndone\n" % self.tip)
        return b"".join(out)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: bytes) -> bytes:
    return b'"' + b"".join(b"\\%03o" % byte for byte in path) + b'"'


_PATHS = (
    b"a", b"a/x", b"a/y/z", b"b", b"b/a", b"lib/one.py", b"lib/two.py", b"lib/sub/three.py", b"caf\xc3\xa9", b"cafe\xcc\x81",
    b"with space", b"*", b"?", b"\xff raw", b".github/ci.yml", b"build/out", b"x.log",
)  # fmt: skip


class _Dice:
    """Makes random changes: every line ever written is another one, so that each has exactly one origin."""

    def __init__(self, seed: int, history: History) -> None:
        self.random = random.Random(seed)
        self.history = history
        self.written = 0

    def line(self) -> str:
        self.written += 1
        return f"line {self.written}\n"

    def change(self, files: dict[bytes, Entry]) -> Change:
        """Return one to four random changes of these files."""
        change: Change = {}
        now = dict(files)
        for _ in range(self.random.randint(1, 4)):
            self.one(now, change)
        return {path: entry for path, entry in change.items() if entry is not None or path in files}

    def one(self, now: dict[bytes, Entry], change: Change) -> None:
        deed = self.random.choice(["edit", "edit", "edit", "write", "write", "move", "delete", "mode", "link", "bytes"])
        path = self.random.choice([*now] if now and deed in {"edit", "move", "delete", "mode"} else _PATHS)
        if deed == "edit" and now.get(path, link("")).mode != "120000":
            entry = Entry(now[path].mode, self.edited(now[path].data))
        elif deed == "mode" and now.get(path, link("")).mode != "120000":
            entry = Entry("100755" if now[path].mode == "100644" else "100644", now[path].data)
        elif deed == "link":
            entry = link(self.random.choice(_PATHS))
        elif deed == "bytes":
            entry = file(self.random.randbytes(300))
        elif deed == "delete" and path in now:
            change[path] = None
            del now[path]
            return
        elif deed == "move" and path in now:
            change[path], entry = None, now.pop(path)
            path = self.random.choice(_PATHS)
        else:
            entry = file("".join(self.line() for _ in range(self.random.randint(0, 12))))
        for other in [o for o in now if o.startswith(path + b"/") or path.startswith(o + b"/")]:
            change[other] = None
            del now[other]
        change[path] = now[path] = entry

    def edited(self, data: bytes) -> bytes:
        old = data.splitlines(keepends=True)
        at = self.random.randint(0, len(old))
        new = [self.line().encode() for _ in range(self.random.randint(0, 3))]
        return b"".join(old[:at] + new + old[at + self.random.randint(0, 2) :])

    def side(self) -> None:
        """Grow a side branch that edits some files, go on beside it with others, and merge."""
        start = self.history.tip
        mine = [p for p, e in self.history.files(start).items() if e.mode != "120000" and self.random.random() < 0.4]
        tip = start
        for path in mine:
            old = self.history.files(tip)[path]
            tip = self.history.commit({path: Entry(old.mode, self.edited(old.data))}, "side", after=tip)
        for path in self.history.files(start).keys() - mine:
            if self.random.random() < 0.2 and self.history.files(start)[path].mode != "120000":
                old = self.history.files(self.history.tip)[path]
                self.history.commit({path: Entry(old.mode, self.edited(old.data))}, "beside")
        if mine:
            self.history.commit({path: self.history.files(tip)[path] for path in mine}, "merge", merge=(tip,))


def random_history(seed: int, commits: int) -> History:
    """Return a history with at least so many commits over few paths, that begins with some of them."""
    history = History()
    dice = _Dice(seed, history)
    history.commit({path: file("".join(dice.line() for _ in range(6))) for path in _PATHS[5:12]}, "start")
    while len(history.commits) < commits:
        if dice.random.random() < 0.1:
            dice.side()
        else:
            history.commit(dice.change(history.files(history.tip)), "random")
    return history

"""Git processes that stay: an object is read, or a ref moved, in a fraction of the 3 ms that a process of its own takes."""

from __future__ import annotations

import contextlib
import re
import select
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, cast

from orchestrator.errors import GitError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from io import BufferedReader

__all__ = ["Differ", "GitObject", "Merger", "ObjectReader", "RefMover"]


_LAST_WORDS = 5.0  # seconds until what a process that has ended said last is read


class GitObject(NamedTuple):
    """An object's full name, its type (`commit`, `tree`, `blob`, `tag`), and what it holds."""

    id: str
    kind: str
    data: bytes


class _Staying:
    """A process that is started when it is first needed, and again when it has ended. Threads may share it."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._said: deque[bytes] = deque(maxlen=20)
        self._listener = threading.Thread()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process, self._said = self._start(), deque(maxlen=20)
            # Read all the time: a full pipe of warnings would stop the process, and with it everybody who asks it.
            self._listener = threading.Thread(target=_listen, args=(self._process, self._said), daemon=True)
            self._listener.start()
            weakref.finalize(self, _end, self._process)
        return self._process


class RefMover(_Staying):
    """Moves refs by compare-and-swap, each in a transaction of its own (`git update-ref --stdin`)."""

    refusal = ""
    """What git said when it last refused."""

    def move(self, ref: str, new: str, old: str, *, follow: bool) -> bool:
        """Move a ref from `old` (zeros: it must not exist) to `new`; return False if git refused, and nothing was moved.

        Without `follow`, a symbolic ref is replaced and what it points at stays.
        """
        option = "" if follow else "option no-deref\n"
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(
                    f"start\n{option}update {ref} {new} {old}\ncommit\n".encode("utf-8", "surrogateescape")
                )
                process.stdin.flush()
                answers = process.stdout.readline(), process.stdout.readline()
            except BrokenPipeError:
                answers = b"", b""
            if answers == (b"start: ok\n", b"commit: ok\n"):
                return True
            process.wait()  # a refused transaction ends the process; the next move starts another
            self._listener.join(_LAST_WORDS)
            self.refusal = b"".join(self._said).decode("utf-8", "replace").strip()
            return False


_PATIENCE = 120  # seconds for one merge
MERGE = ("merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", "--stdin")
"""What a `Merger`'s process is. Never `--quiet`: git 2.50 to 2.55 then calls some conflicting merges clean."""


class Merger(_Staying):
    """Merges two commits in memory, many one after the other."""

    _mute = False

    def merge(self, ours: str, theirs: str) -> list[bytes] | None:
        """Return the tree and then the paths in conflict; None if one of the two is no commit here, or git does not answer."""
        with self._lock:
            if self._mute:
                return None
            process = self._running()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{ours} {theirs}\n".encode("ascii"))
                process.stdin.flush()
            stream = cast("BufferedReader", process.stdout)
            if not select.select([stream], [], [], _PATIENCE)[0]:
                self._mute = True  # a git that keeps its answers back whatever it is told: it is asked no more
                process.kill()
            answer = list(iter(lambda: _field(stream), b""))
            if len(answer) < 2:
                process.wait()  # it ends at a name that it does not know; the next merge starts another
                return None
            return answer[1:]


RAW_DIFF = (
    "-r",
    "-z",
    "--raw",
    "--no-renames",
    "--no-abbrev",
    "--ignore-submodules=none",
    "--no-ext-diff",
    "--no-textconv",
)
"""How trees are compared; `ignore = all` in a .gitmodules file would hide a moved submodule even from diff-tree."""
DIFF = ("diff-tree", "--stdin", "--always", "-t", *RAW_DIFF)
"""What a `Differ`'s process is: under a line for each pair of commits, what differs, folders too."""
_NAME = re.compile(r"[0-9a-f]{40,64}")
_PAIRS = 200  # at once: the question must fit into a pipe, since git may stop reading until its answer is read


class Differ(_Staying):
    """Compares pairs of commits."""

    _mute = False

    def compare(self, pairs: Sequence[tuple[str, str]]) -> bytes | None:
        """Return what git says of these pairs, full names of commits, the older one first.

        None if it does not say: an object is missing, or there are too many at once.
        """
        if len(pairs) > _PAIRS or not all(_NAME.fullmatch(name) for pair in pairs for name in pair):
            return None
        with self._lock:
            if self._mute:
                return None
            process = self._running()
            assert process.stdin is not None
            told = "".join(f"{new} {old}\n" for old, new in pairs) + "\n"  # what is no name is repeated, and at once
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(told.encode("ascii"))
                process.stdin.flush()
            stream = cast("BufferedReader", process.stdout)
            if not select.select([stream], [], [], _PATIENCE)[0]:
                self._mute = True
                process.kill()
            answer: list[bytes] = []
            while (ahead := stream.peek()[:1]) not in {b"", b"\n"}:
                answer.append(_field(stream))
                if ahead == b":":
                    answer.append(_field(stream))  # a path, which may begin with anything
            if not stream.read(1):
                process.wait()  # it ends where an object is missing; the next question starts another
                return None
            return b"\0".join(answer)


def _field(stream: BufferedReader) -> bytes:
    """Read up to the next NUL; empty also where the stream has ended."""
    found = bytearray()
    while ahead := stream.peek():
        end = ahead.find(b"\0")
        found += stream.read(len(ahead) if end < 0 else end + 1)
        if end >= 0:
            return bytes(found[:-1])
    return b""


class ObjectReader(_Staying):
    """Reads objects by any name that git understands; refs are looked up anew each time."""

    def find(self, name: str) -> GitObject | None:
        """Return the object, or None if nothing has that name.

        Raises:
            GitError: the process ended.
        """
        if "\n" in name or "\0" in name:
            return None  # one name a line; no ref and no path that we write has either
        with self._lock:
            return _ask(self._running(), name)


def _ask(process: subprocess.Popen[bytes], name: str) -> GitObject | None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
        process.stdin.flush()
        header = process.stdout.readline()
    except BrokenPipeError:
        header = b""
    if not header:
        raise GitError(["git", "cat-file", "--batch"], "", process.wait(), "it ended while it was asked for " + name)
    fields = header.rstrip(b"\n").rsplit(b" ", 2)
    if len(fields) < 3 or not fields[2].isdigit():
        return None  # "<name> missing", "<name> ambiguous"
    data = process.stdout.read(int(fields[2]))
    process.stdout.read(1)  # the newline that ends the object
    return GitObject(fields[0].decode("ascii"), fields[1].decode("ascii"), data)


def _listen(process: subprocess.Popen[bytes], said: deque[bytes]) -> None:
    assert process.stderr is not None
    with contextlib.suppress(ValueError):  # closed while we waited
        said.extend(iter(process.stderr.readline, b""))


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # it was killed before it had read all
                pipe.close()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()

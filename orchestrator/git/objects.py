"""Git processes that stay: an object is read, or a ref moved, in a fraction of the 3 ms that a process of its own takes."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import GitError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

__all__ = ["GitObject", "ObjectReader", "RefMover"]


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

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process, self._said = self._start(), deque(maxlen=20)
            # Read all the time: a full pipe of warnings would stop the process, and with it everybody who asks it.
            threading.Thread(target=_listen, args=(self._process, self._said), daemon=True).start()
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
            self.refusal = b"".join(self._said).decode("utf-8", "replace").strip()
            return False


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
            pipe.close()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()

"""What our own agent loop can do with the files of its worktree: read, write, edit, search and list.

Every path is taken from the worktree's root, folder by folder, and no link is followed: what somebody has planted there leads no
tool elsewhere. Answers are bounded, and lines that have not changed since they were read are not sent again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.errors import ProcessError
from orchestrator.model.plan_values import repository_path
from orchestrator.processes.process import Ending, Exit, clean_environment, run_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["EditFile", "FileTools", "ListFiles", "ReadFile", "SearchFiles", "ToolRefused", "WriteFile"]

_LONGEST = 30_000  # characters of one answer
_LARGEST = 2 * 1024 * 1024  # bytes of a file that is read or edited
_HITS = 100
_HIT = 300  # characters of one line that is found
_FOUND = 4 * 1024 * 1024  # bytes that a search may print before it has found enough
_FILES = 500
_NEVER = (".git", "node_modules", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ToolRefused(Exception):
    """A call could not be carried out; the message tells the model why, and what to do instead."""


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReadFile(_Arguments):
    """Read lines of a text file. Lines that you have read before and that have not changed are not shown again."""

    path: str = Field(description="from the repository's root, such as src/app.py")
    start: int = Field(default=1, ge=1, description="the first line")
    lines: int = Field(default=500, ge=1, le=2000, description="how many lines")


class WriteFile(_Arguments):
    """Write a whole file, new or in place of the old one, with the folders above it."""

    path: str = Field(description="from the repository's root; it must be in your scope")
    text: str = Field(description="all that the file is to hold")


class EditFile(_Arguments):
    """Replace one piece of a text file by another. The old piece must be there exactly once, unless all are meant."""

    path: str = Field(description="from the repository's root; it must be in your scope")
    old: str = Field(min_length=1, description="exactly as it stands in the file, with enough around it to be unique")
    new: str
    everywhere: bool = Field(default=False, description="replace every occurrence")


class SearchFiles(_Arguments):
    """Find the lines of text files that match a regular expression."""

    pattern: str = Field(min_length=1, description="an extended regular expression, as for grep -E")
    folder: str = Field(default=".", description="where to look, from the repository's root")
    files: str = Field(default="*", description="a pattern of file names without folders, such as *.py")


class ListFiles(_Arguments):
    """List the files below a folder."""

    folder: str = Field(default=".", description="from the repository's root")


@dataclass(slots=True, kw_only=True)
class FileTools:
    """The file tools of one attempt in its worktree.

    `may_write` returns why a path may not be written, empty if it may. `written` counts what was really changed. A search ends
    after `search_seconds`: an expression can be such that no line is ever done.

    Every tool raises `ToolRefused` if it cannot do what was asked; nothing is changed then.
    """

    folder: Path
    may_write: Callable[[str], str]
    search_seconds: float = 10.0
    written: int = 0
    _sent: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def read(self, wanted: ReadFile) -> str:
        """Return numbered lines of a file, or that they are as they were when they were read last."""
        path = self._inside(wanted.path)
        lines = _decoded(path, self._content(path)[0]).splitlines()
        part = lines[wanted.start - 1 : wanted.start - 1 + wanted.lines]
        shown = _cut("\n".join(f"{number}\t{line}" for number, line in enumerate(part, wanted.start)))
        key, digest = (path, wanted.start, wanted.lines), hashlib.sha256(shown.encode()).hexdigest()
        if self._sent.get(key) == digest:
            return f"These lines of {path} have not changed since you read them."
        self._sent[key] = digest
        if not part:
            return f"{path} has {len(lines)} lines."
        more = len(lines) - (wanted.start - 1 + len(part))
        return shown + (f"\n({more} more lines; read on from line {wanted.start + len(part)})" if more > 0 else "")

    def write(self, wanted: WriteFile) -> str:
        """Write a file."""
        path = self._writable(wanted.path)
        with self._folder_of(path, make=True) as (folder, name):
            self._put(path, folder, name, _encoded(wanted.text))
        return f"{path} is written, {len(wanted.text.splitlines())} lines."

    def edit(self, wanted: EditFile) -> str:
        """Change a file."""
        path = self._writable(wanted.path)
        text = _decoded(path, self._content(path)[0])
        count = text.count(wanted.old)
        if count == 0:
            raise ToolRefused(f"The old text is not in {path}. Read it again: the text must match to the last blank.")
        if count > 1 and not wanted.everywhere:
            raise ToolRefused(
                f"The old text is in {path} {count} times. Give more of what is around it, or say everywhere."
            )
        with self._folder_of(path) as (folder, name):
            self._put(path, folder, name, _encoded(text.replace(wanted.old, wanted.new)))
        return f"{path} is changed in {count} place{'s' * (count > 1)}."

    async def search(self, wanted: SearchFiles) -> str:
        """Return `path:line:text` of each line that is found; a child of ours searches, within a time limit."""
        below = self._inside(wanted.folder, folder=True)
        with self._opened(below.split("/")):
            pass  # it is a folder, and no link leads to it
        ended, lines = await self._grep(wanted, below)
        if ended is not None and ended.ending is Ending.TIMED_OUT:
            raise ToolRefused(
                f"The search took more than {self.search_seconds:g} s. Search for something simpler, or in one folder."
            )
        if ended is not None and ended.code > 1 and all(line.startswith("grep: ") for line in lines):
            raise ToolRefused(f"The search failed: {' '.join(lines)[:_HIT] or 'nothing says why'}")
        more = f"\n(more than {_HITS} lines; search for something narrower)" if len(lines) > _HITS else ""
        return _cut("\n".join(line[:_HIT] for line in lines[:_HITS])) + more or "No line matches."

    def list_files(self, wanted: ListFiles) -> str:
        """Return the paths of the files below a folder."""
        below = self._inside(wanted.folder, folder=True)
        found: list[str] = []
        with self._opened(below.split("/")) as handle:
            for place, folders, names, _ in os.fwalk(".", dir_fd=handle):
                folders[:] = sorted(name for name in folders if name not in _NEVER)
                inside = "/".join(part for part in (*below.split("/"), *place.split("/")) if part != ".")
                found += [f"{inside}/{name}" if inside else name for name in sorted(names) if name != ".git"]
                if len(found) > _FILES:
                    return "\n".join(found[:_FILES]) + f"\n(more than {_FILES} files; list a folder below)"
        return "\n".join(found) or "There is no file."

    async def _grep(self, wanted: SearchFiles, below: str) -> tuple[Exit | None, list[str]]:
        """Return how the search ended, None if it was ended since it had found enough, and the lines."""
        never = [f"--exclude-dir={name}" for name in _NEVER]
        what = [f"--include={wanted.files}", "-e", wanted.pattern, "--", "." if below == "." else f"./{below}"]
        command = ["grep", "-rsnIHE", "-D", "skip", *never, *what]
        printed = bytearray()

        def keep(chunk: bytes) -> None:
            printed.extend(chunk)
            if len(printed) > _FOUND:
                raise _Enough

        ended = None
        try:
            with suppress(_Enough):
                env = clean_environment({"LC_ALL": "C.UTF-8"})
                ended = await run_group(command, cwd=self.folder, env=env, on_output=keep, wall=self.search_seconds)
        except ProcessError as error:
            raise ToolRefused(f"{error.message} Search with run.") from error
        return ended, [line.removeprefix("./") for line in printed.decode("utf-8", "replace").splitlines()]

    def _writable(self, path: str) -> str:
        inside = self._inside(path)
        if why := self.may_write(inside):
            raise ToolRefused(
                f"You may not write {inside}: {why}. If your task cannot be done without it, ask with scope_request first."
            )
        return inside

    def _inside(self, path: str, *, folder: bool = False) -> str:
        """Return a path as git would store it, `.` for the worktree itself."""
        given = path.removeprefix(f"{self.folder}/") if path != str(self.folder) else "."
        relative = given if given.startswith("/") else "/".join(p for p in given.split("/") if p not in ("", "."))
        if folder and not relative:
            return "."
        try:
            return repository_path(relative)
        except ValueError as wrong:
            raise ToolRefused(f"{wrong}.") from wrong

    @contextmanager
    def _opened(self, folders: list[str], *, make: bool = False) -> Iterator[int]:
        """Give the opened folder that these names lead to, one by one."""
        handle = os.open(self.folder, _FOLDER)
        try:
            for name in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o755, dir_fd=handle)
                below = os.open(name, _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        except OSError as fault:
            raise ToolRefused(f"{'/'.join(folders)}: {_why(fault)}.") from fault
        finally:
            os.close(handle)

    @contextmanager
    def _folder_of(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        *folders, name = path.split("/")
        with self._opened(folders, make=make) as handle:
            yield handle, name

    def _content(self, path: str) -> tuple[bytes, int]:
        """Return what a file holds, and its mode."""
        with self._folder_of(path) as (folder, name):
            try:  # a pipe is opened without waiting for its other end
                handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            except OSError as fault:
                raise ToolRefused(f"{path}: {_why(fault)}.") from fault
            with os.fdopen(handle, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode):
                    raise ToolRefused(f"{path} is no ordinary file; it can be neither read nor changed.")
                content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ToolRefused(f"{path} is larger than {_LARGEST} bytes; look at a part of it with run.")
        return content, mode

    def _put(self, path: str, folder: int, name: str, content: bytes) -> None:
        """Put a file where none is, or in place of an ordinary one, whole or not at all; another name of it stays as it was."""
        mode = 0o644
        with suppress(FileNotFoundError):
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(there.st_mode):
                raise ToolRefused(f"{path} is no ordinary file; remove it with run if it is yours to replace.")
            mode = stat.S_IMODE(there.st_mode)
            if there.st_size <= _LARGEST and self._content(path)[0] == content:
                return
        draft = f".{secrets.token_hex(8)}.draft"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
            os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(draft, dir_fd=folder)
            raise
        self.written += 1


class _Enough(Exception):
    """A search has found more than anybody reads."""


def _why(fault: OSError) -> str:
    if isinstance(fault, FileNotFoundError):
        return "it does not exist; list shows what does"
    link = fault.errno in (errno.ELOOP, errno.ENOTDIR)
    return f"{fault.strerror}; a link is not followed" if link else str(fault.strerror)


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as fault:
        raise ToolRefused(f"{path} is no UTF-8 text.") from fault


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as fault:
        raise ToolRefused("The text holds half a character (a lone surrogate); write it anew.") from fault


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n(cut after {_LONGEST} characters)"

"""A look at the repository after each attempt: what of it an agent may have changed that is no file of its worktree.

Git's own configuration decides which programs the user's git runs, so what an agent has written there would run as the user.
orch's git never reads it. The run keeps a copy of these files from before its first agent, and puts them back. While agents
work that are not confined, the copy is also in the run's folder: whoever takes a killed run over puts them back from it.
"""

from __future__ import annotations

import base64
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import GitError
from orchestrator.files import delete, read_bounded, write_whole
from orchestrator.git import change, query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.git.repository import Repository

__all__ = ["RepositoryGuard", "planted_pointer"]

_FILES = (
    "config", "config.worktree", "info/attributes", "info/exclude", "info/grafts", "shallow",
    "objects/info/alternates", "objects/info/http-alternates",
)  # fmt: skip
_LARGEST = 1 << 20  # bytes; of a file that is kept a copy of
_MOST = 200  # hooks
_SHOWN = 5

_Entry = tuple[bytes, int]
_NO_FILE: _Entry = (b"", -1)  # a link, a pipe, or a file of a size that nobody writes there


@dataclass(slots=True)
class RepositoryGuard:
    """What the repository was like when the run began, and the branches and tags as they were when they were looked at last."""

    repository: Repository
    aside: Path
    """Where what is taken out of the repository is kept."""
    memory: Path
    """Where `before` is kept while agents work that are not confined."""
    before: dict[str, _Entry] = field(default_factory=dict)
    _at_work: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, repository: Repository, run_folder: Path) -> RepositoryGuard:
        """Look at the repository as it is now, or as it was before agents worked whose orchestrator was killed."""
        memory = run_folder / "repository-before.json"
        before = _remembered(memory) or _files_of(repository.common_dir)
        return cls(repository, run_folder / "set-aside", memory, before)

    def begin(self) -> None:
        """Remember how the repository was, before an agent that is not confined begins."""
        with self._lock:
            if not self._at_work:
                kept = {name: [base64.b64encode(text).decode(), mode] for name, (text, mode) in self.before.items()}
                write_whole(self.memory, json.dumps(kept).encode())
            self._at_work += 1

    def end(self) -> list[str]:
        """Put back what such an agent has changed, and return what to say of it."""
        said = self.restore()
        with self._lock:
            self._at_work -= 1
            if not self._at_work:
                self.memory.unlink(missing_ok=True)
        return said

    def settle(self) -> list[str]:
        """Put back what such agents have changed whose orchestrator was killed, and return what to say of it."""
        said = self.restore() if self.memory.is_file() else []
        self.memory.unlink(missing_ok=True)
        return said

    def names(self) -> dict[str, str]:
        """Return the branches and tags that are none of orch's, with the commit of each."""
        refs = query.refs(self.repository.own, "refs/heads/", "refs/tags/")
        return {ref.name: ref.id for ref in refs if not ref.name.startswith("refs/heads/orch/")}

    def restore(self) -> list[str]:
        """Put git's own configuration back as the run found it, and return what to say of it; what stood there is kept."""
        with self._lock:
            now = _files_of(self.repository.common_dir)
            names = sorted(name for name in now.keys() | self.before if self.before.get(name) != _NO_FILE)
            changed = [name for name in names if now.get(name) != self.before.get(name)]
            return [self._put_back(name, now.get(name)) for name in changed]

    def _put_back(self, name: str, found: _Entry | None) -> str:
        place, was = self.repository.common_dir / name, self.before.get(name)
        kept = ""
        try:
            if found is not None and found != _NO_FILE:
                self.aside.mkdir(parents=True, exist_ok=True)
                copy = self.aside / f"{len(list(self.aside.iterdir()))}-{name.replace('/', '-')}"
                write_whole(copy, found[0])
                kept = f"; what stood there is in {copy}"
            if was is None:
                delete(place)
            else:
                place.parent.mkdir(exist_ok=True)
                if place.is_dir() and not place.is_symlink():
                    return f"{place} was replaced by a folder while an agent worked; look at it before you use git here"
                write_whole(place, was[0])
                place.chmod(was[1])
        except OSError as fault:
            return f"{place} was changed while an agent worked, and cannot be put back: {fault.strerror or fault}"
        return f"{place} was changed while an agent worked, and was put back{kept}"

    def put_back_branches(self, known: Mapping[str, str]) -> list[str]:
        """Put back branches of this run that were moved away from the work that they keep; return what to say of it.

        One that was deleted stays so: its user may have done that.
        """
        said = []
        for ref, commit in known.items():
            now = query.resolve(self.repository.own, ref)
            if now is None or now == commit:
                continue
            try:
                done = change.move_ref(self.repository.own, ref, commit, now)
            except GitError:
                done = False
            end = f"and was put back to {commit[:12]}" if done else "and cannot be put back"
            said.append(f"{ref} was moved to {now[:12]} while an agent worked, {end}")
        return said

    def moved(self, before: Mapping[str, str], ours: Iterable[str]) -> list[str]:
        """Return a sentence on branches and tags that are not where they were before an agent worked; `ours` are left out."""
        now, left_out = self.names(), frozenset(ours)
        names = [
            name for name in sorted(now.keys() | before) if name not in left_out and now.get(name) != before.get(name)
        ]
        if not names:
            return []
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(f"{name} ({_short(before.get(name))} to {_short(now.get(name))})" for name in names[:_SHOWN])
        return [f"branches or tags were changed while an agent worked that was not confined: {shown}{more}"]


def _remembered(memory: Path) -> dict[str, _Entry]:
    with suppress(OSError, ValueError):  # none is there, or an agent has written it
        kept = json.loads(read_bounded(memory, 2 * _LARGEST * (_MOST + len(_FILES))))
        return {name: (base64.b64decode(text), int(mode)) for name, (text, mode) in kept.items() if _is_ours(name)}
    return {}


def _is_ours(name: str) -> bool:
    return name in _FILES or (name.startswith("hooks/") and "/" not in name.removeprefix("hooks/"))


def planted_pointer(folder: Path, admin: Path) -> str:
    """Return a sentence if an attempt has replaced what leads from its worktree to the repository; git is not led by it here."""
    try:
        text = read_bounded(folder / ".git", 4096).decode(errors="replace").strip()
    except OSError:
        return "the .git file of the worktree was removed or replaced; nothing was led by it"
    return "" if text == f"gitdir: {admin}" else "the .git file of the worktree was rewritten; nothing was led by it"


def _short(commit: str | None) -> str:
    return commit[:12] if commit else "none"


def _files_of(common: Path) -> dict[str, _Entry]:
    found = {}
    for name in (*_FILES, *_hooks(common)):
        try:
            found[name] = (read_bounded(common / name, _LARGEST), (common / name).stat().st_mode & 0o7777)
        except FileNotFoundError:
            continue
        except OSError:
            found[name] = _NO_FILE
    return found


def _hooks(common: Path) -> Iterator[str]:
    try:
        names = sorted(place.name for place in (common / "hooks").iterdir())
    except OSError:
        return
    yield from (f"hooks/{name}" for name in names[:_MOST])

"""The one door to git: every git process of this program starts here.

GitPython starts the processes. The environment is the same for all of them: nothing inherited from an outer git
(`GIT_DIR`, `GIT_INDEX_FILE` and the like are exported into hooks and worktrees), no user or system configuration,
no hooks, no file system monitor, no replace refs, no background gc, path lists read as literal bytes.
Every process runs in a session of its own, so that Ctrl-C in the terminal reaches this program and not a half-done `update-ref`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from orchestrator.errors import GitError
from orchestrator.git.objects import DIFF, MERGE, Differ, GitObject, Merger, ObjectReader, RefMover
from orchestrator.processes.orphans import remember

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

__all__ = ["Completed", "Git", "end_all"]

_SEALED_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",  # nothing is ever fetched, also not objects that a "promisor" remote should have
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_EDITOR": "false",
    "GIT_PAGER": "cat",
}

_SEALED_CONFIG = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,  # else $XDG_CONFIG_HOME/git/attributes is read even without a global config
    "core.excludesFile": os.devnull,  # likewise git/ignore
    "core.quotePath": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "merge.directoryRenames": "false",  # a file must land where its task put it, not where a guess moves it
    "commit.gpgSign": "false",
    "log.showSignature": "false",
}


_UNBUFFERED = ("stdbuf", "-o0")  # of coreutils; without it, each merge is a process of its own

_PATIENCE = 900  # seconds; the longest that any one git process of a run may take
_RUNNING: set[subprocess.Popen[bytes]] = set()


def end_all() -> None:
    """Kill every git process that somebody waits for: the user wants an end, and one may never come by itself."""
    for process in list(_RUNNING):
        process.kill()


@dataclass(frozen=True, slots=True)
class Completed:
    """What a git process said, and how it ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """The output as text without its last newline; bytes that are no UTF-8 are kept as surrogates."""
        return os.fsdecode(self.out).removesuffix("\n")


@cache
def _answers_at_once() -> bool:
    """Tell whether a git that stays can be made to answer each merge when it is asked: before 2.49 it keeps answers back."""
    return shutil.which(_UNBUFFERED[0]) is not None


@cache
def _forget_outer_git() -> None:
    # GitPython copies os.environ and offers no way to leave a variable out, so they go once, for the whole process.
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        del os.environ[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Git for one repository; with `work_tree` and `index` for one place in it. Repositories are never discovered."""

    git_dir: Path
    cwd: Path
    work_tree: Path | None = None
    index: Path | None = None
    objects: Path | None = None
    alternates: Path | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    reader: ObjectReader | None = field(default=None, compare=False)
    mover: RefMover | None = field(default=None, compare=False)
    merger: Merger | None = field(default=None, compare=False)
    differ: Differ | None = field(default=None, compare=False)

    @property
    def object_folder(self) -> Path:
        """Where new objects go."""
        return self.objects or self.git_dir / "objects"

    def at(self, *, work_tree: Path | None = None, index: Path | None = None) -> Git:
        """Return the same git, working on another work tree and index file."""
        return replace(self, work_tree=work_tree, index=index, cwd=work_tree or self.cwd)

    def run(
        self,
        *arguments: str | Path,
        stdin: bytes = b"",
        accept: Collection[int] = (0,),
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run git to its end and return what it said.

        Raises:
            GitError: the exit code is none of `accept`.
        """
        command = [str(a) for a in arguments]
        process = self._start(command, env or {})
        _RUNNING.add(process)
        try:
            out, err = process.communicate(stdin, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise GitError(["git", *command], self.cwd, -9, f"it did not end within {_PATIENCE} s") from None
        finally:
            _RUNNING.discard(process)
        done = Completed(process.returncode, out, os.fsdecode(err))
        if done.code not in accept:
            raise GitError(["git", *command], self.cwd, done.code, done.err)
        return done

    def text(self, *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """Run git and return its output as text, without the last newline."""
        return self.run(*arguments, stdin=stdin, env=env).text

    def staying(self) -> Git:
        """Return the same git with processes that stay, each started when it is first needed (see `objects`)."""
        return replace(
            self,
            reader=ObjectReader(lambda: self._start(["cat-file", "--batch"], {})),
            differ=Differ(lambda: self._start(DIFF, {})),
            mover=RefMover(lambda: self._start(["update-ref", "--create-reflog", "--stdin"], {})),
            merger=Merger(lambda: self._start(MERGE, {}, unbuffered=True)) if _answers_at_once() else None,
        )

    def find(self, name: str) -> GitObject | None:
        """Return the object that has a name, or None.

        Raises:
            GitError: this git has no reader.
        """
        if self.reader is None:
            raise GitError(["git", "cat-file", "--batch"], self.cwd, -1, "no reader was started")
        return self.reader.find(name)

    def _start(
        self, command: Sequence[str], env: Mapping[str, str], *, unbuffered: bool = False
    ) -> subprocess.Popen[bytes]:
        from git.cmd import Git as GitPython  # 0.1 s of CPU, so only where git is really run

        _forget_outer_git()

        def start() -> subprocess.Popen[bytes]:
            auto_interrupt: Any = GitPython(str(self.cwd)).execute(
                [*(_UNBUFFERED if unbuffered else ()), "git", *command],
                istream=subprocess.PIPE,
                as_process=True,
                env={**_SEALED_ENVIRONMENT, **self._settings(), **self._place(), **env},
                start_new_session=True,
            )
            process = cast("subprocess.Popen[bytes]", auto_interrupt.proc)
            auto_interrupt.proc = None  # its finaliser would terminate a process that we are still talking to
            return process

        return remember(start)

    def _settings(self) -> dict[str, str]:
        # By the environment, since `-c` takes everything after the first `=` of a name such as filter.a=b.clean for the value.
        settings = {**_SEALED_CONFIG, **self.config}
        numbered = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(settings)}
        numbered |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(settings.values())}
        return {"GIT_CONFIG_COUNT": str(len(settings)), **numbered}

    def _place(self) -> dict[str, str]:
        place = {"GIT_DIR": str(self.git_dir)}
        if self.work_tree is not None:
            place["GIT_WORK_TREE"] = str(self.work_tree)
        if self.index is not None:
            place["GIT_INDEX_FILE"] = str(self.index)
        if self.objects is not None:
            place["GIT_OBJECT_DIRECTORY"] = str(self.objects)
        if self.alternates is not None:
            place["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(self.alternates)
        return place

"""Repositories to measure on: generated ones of any size, copies to work in, and branches of work that merges or does not."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.model.trailers import Provenance, message_with

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["Bench", "Branch", "describe_machine", "generated", "git", "shell", "work_branches"]

_IN_A_FOLDER = 27  # files; what large projects have on average
_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")  # no glob, no hidden file
_LINES = 40
_COMMITTER = "committer bench <bench@example.org> 1 +0000"


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    person = {f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**inherited, **person, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git, sealed from the machine's configuration, and return what it says."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=folder, env=_environment(), input=stdin, stdout=subprocess.PIPE, check=True
    ).stdout


def shell(folder: Path, script: str, *arguments: str) -> str:
    """Run a shell script of git commands in the same environment, and return what it prints."""
    command = ["sh", "-c", script, "sh", *arguments]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, check=True, text=True)
    return done.stdout


def describe_machine() -> str:
    """Return what a measurement must be read with."""
    version = git(Path.cwd(), "version").decode().strip().removeprefix("git version ")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} processors, git {version}, load {load}"


def generated(files: int) -> Path:
    """Return a bare repository with so many files on `main`; it stays in the system's folder for temporary files."""
    kept = Path(tempfile.gettempdir()) / "orch-bench" / f"{files}.git"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=kept.parent))
        git(draft, "init", "--quiet", "--bare", "--initial-branch", "main")
        git(draft, "fast-import", "--quiet", stdin=_history(files))
        draft.rename(kept)
    return kept


def _history(files: int) -> bytes:
    folders = math.ceil(files / _IN_A_FOLDER)
    across = math.ceil(math.sqrt(folders))
    stream = [f"commit refs/heads/main\n{_COMMITTER}\ndata 5\nstart\n".encode()]
    for number in range(files):
        folder = number % folders
        text = "".join(f"line {line} of file {number}, one of many like it\n" for line in range(_LINES)).encode()
        path = f"part-{folder % across}/section-{folder // across}/file-{number}.txt"
        stream.append(_file(path, text))
    return b"".join(stream)


def _file(path: str, content: bytes) -> bytes:
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)


class Bench:
    """A copy of a repository, bare or with `main` checked out; it goes at the end of the `with`.

    `main` is where the copied one's HEAD is; `start` is that commit.
    """

    def __init__(self, source: Path, *, bare: bool) -> None:
        self._source = source
        self._bare = bare

    def __enter__(self) -> Bench:
        self.folder = Path(tempfile.mkdtemp(prefix="orch-bench-"))
        self.path = self.folder / "repo"
        how = ["--bare"] if self._bare else ["--no-checkout"]
        git(self.folder, "clone", "--quiet", "--shared", *how, str(self._source), str(self.path))
        git(self.path, "config", "gc.auto", "0")  # a collection in the background would be measured as something else
        self.start = git(self.path, "rev-parse", "HEAD").decode().strip()
        git(self.path, "symbolic-ref", "HEAD", "refs/heads/main")
        git(self.path, "update-ref", "refs/heads/main", self.start)
        self.reset()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)

    def reset(self) -> None:
        """Put `main`, and its checkout, to where it began."""
        if self._bare:
            git(self.path, "update-ref", "refs/heads/main", self.start)
        else:
            git(self.path, "reset", "--quiet", "--hard", self.start)

    def tree(self) -> str:
        """Return the tree of `main`."""
        return git(self.path, "rev-parse", "main^{tree}").decode().strip()

    def objects(self) -> frozenset[Path]:
        """Return the files of the object store: loose objects and packs."""
        store = self.path / ("objects" if self._bare else ".git/objects")
        return frozenset(path for path in store.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Work as an agent would submit it: its name, its commit, and the paths that it may write."""

    name: str
    commit: str
    scope: tuple[str, ...]


def work_branches(
    bench: Bench, count: int, *, salt: str, rivals: Sequence[Collection[int]] = (), failing: Collection[int] = ()
) -> list[Branch]:
    """Write branches `work-1` and so on, one commit each on top of `start`: two files edited and two added.

    All of these are different files. `rivals` are groups of numbers: those in one group change one more line, which does not
    merge, and which the first of them may write. Those whose number is `failing` add a file `fails-<number>`. With another
    `salt` all objects are new ones. They are on the disk when this returns.
    """
    texts = _some_files(bench, 2 * count + len(rivals))
    paths = iter(texts)
    shared = [(next(paths), sorted(group)) for group in rivals]
    stream, scopes = [], {}
    for number in range(1, count + 1):
        edited = [next(paths), next(paths)]
        added = [str(Path(path).with_name(f"added-{number}-{place}.txt")) for place, path in enumerate(edited)]
        if number in failing:
            added[0] = f"fails-{number}"
        files = {path: texts[path] + f"{salt} {number}\n".encode() for path in edited}
        files |= {path: f"{salt} {path}\n".encode() for path in added}
        scopes[f"work-{number}"] = [*edited, *added]
        for path, group in shared:
            if number in group:
                files[path] = f"{salt} {number}\n".encode() + texts[path]
                scopes[f"work-{number}"] += [path] if number == group[0] else []
        stream.append(_commit(f"work-{number}", bench.start, files))
    settings = ["-c", "core.fsync=loose-object", "-c", "fastimport.unpackLimit=1000000"]
    git(bench.path, *settings, "fast-import", "--quiet", "--force", stdin=b"".join(stream))
    told = git(bench.path, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/work-*").decode()
    commits = dict(line.split() for line in told.splitlines())
    return [Branch(name=name, commit=commits[name], scope=tuple(scope)) for name, scope in scopes.items()]


def _some_files(bench: Bench, count: int) -> dict[str, bytes]:
    """Return path → content of so many ordinary files, spread over the whole repository."""
    listed = git(bench.path, "ls-tree", "-r", "-z", bench.start).decode("utf-8", "replace").split("\0")
    ordinary = [entry.partition("\t")[2] for entry in listed if entry.startswith("100644")]
    known = [path for path in ordinary if _PLAIN.fullmatch(path)]
    if len(known) < count:
        raise SystemExit(f"{bench.path} has {len(known)} ordinary files; {count} are needed.")
    paths = [known[place * len(known) // count] for place in range(count)]
    asked = "".join(f"{bench.start}:{path}\n" for path in paths).encode()
    out = git(bench.path, "cat-file", "--batch", stdin=asked)
    texts = {}
    for path in paths:
        header, _, out = out.partition(b"\n")
        size = int(header.split()[2])
        texts[path], out = out[:size], out[size + 1 :]
    return texts


def _commit(name: str, start: str, files: dict[str, bytes]) -> bytes:
    """Return a commit as `fast-import` takes it, with the trailers that the work of a task carries."""
    known = defaultdict(lambda: "bench", task=name, generation="1")
    trailers = Provenance(**{field.name: known[field.name] for field in fields(Provenance)})  # type: ignore[arg-type]
    message = message_with(f"{name}: work", "", trailers)
    head = f"commit refs/heads/{name}\n{_COMMITTER}\ndata {len(message)}\n{message}from {start}\n".encode()
    return head + b"".join(_file(path, content) for path, content in files.items())

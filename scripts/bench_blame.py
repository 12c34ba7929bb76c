"""What it takes to tell who wrote every line: `orch blame --all` against `git blame`, file by file.

The repositories are made here: files with a past, then a run of many tasks that landed with their trailers, a few at a time,
with commits and merges of people in between; or a range of a given repository, each of whose first-parent commits becomes a
landed task. The reference blames each file that is not as it was before the run. The two take turns; the ratio is taken
pair by pair. Every line of those files is compared: `orch` must name the task of the commit that `git blame` names.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from orchestrator.git.repository import Repository
from orchestrator.model.trailers import Provenance, message_with
from orchestrator.provenance import View, all_lines

WHO = b"A Person <person@example.org>"
ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def main() -> None:
    """Measure and print one line a repository."""
    options = _options()
    print(
        f"{'repository':>22} {'files':>6} {'tasks':>6} {'blamed':>7} {'git s':>8} {'orch s':>7} {'inside s':>9}"
        f" {'ratio (median of pairs)':>24}  {'min..max':>13} {'lines':>8} {'disagreements':>14}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if options.repo:
            places = [_from_range(Path(folder) / "repo", options.repo, options.rev)]
        else:
            places = [_made(Path(folder) / str(size), size, options.tasks) for size in options.sizes]
        for place in places:
            _measure(place, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[150, 5000], help="numbers of files")
    parser.add_argument("--tasks", type=int, default=300, help="tasks that landed")
    parser.add_argument("--repo", type=Path, help="a repository to take instead")
    parser.add_argument("--rev", help="its range A..B")
    parser.add_argument(
        "--within", action="store_true", help="let the reference blame only within the run: git blame A..B"
    )
    parser.add_argument("--repeat", type=int, default=3, help="pairs a repository")
    options = parser.parse_args()
    if (options.repo is None) != (options.rev is None):
        parser.error("say both --repo and --rev, or neither")
    return options


class _Place(NamedTuple):
    """A repository in which a run has landed tasks on `main`, beginning at `base`."""

    name: str
    path: Path
    base: str
    tasks: int

    def git(self, *arguments: str) -> bytes:
        command = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True).stdout


def _measure(place: _Place, options: argparse.Namespace) -> None:
    changed = place.git("diff", "--name-only", "-z", "--no-renames", "--diff-filter=d", place.base, "main")
    texts = _texts(place)
    paths = [path for path in os.fsdecode(changed).split("\0") if path in texts]
    revisions = f"{place.base}..main" if options.within else "main"
    pairs, inside = [], []
    for _ in range(options.repeat):
        started = time.perf_counter()
        blamed = {path: place.git("blame", "--porcelain", revisions, "--", path) for path in paths}
        reference = time.perf_counter() - started
        command = [
            sys.executable,
            "-m",
            "orchestrator",
            "blame",
            "--all",
            "--json",
            "--rev",
            "main",
            "--repo",
            str(place.path),
        ]
        started = time.perf_counter()
        said = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True).stdout
        pairs.append((reference, time.perf_counter() - started))
        started = time.perf_counter()
        view = View(Repository.open(place.path).own, "main")
        all_lines(view, view.files())
        inside.append(time.perf_counter() - started)
    lines, wrong = _compare(place, blamed, json.loads(said)["files"])
    git, orch = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = [theirs / ours for theirs, ours in pairs]
    print(
        f"{place.name:>22} {len(texts):>6} {place.tasks:>6} {len(paths):>7} {git:>8.2f} {orch:>7.2f}"
        f" {statistics.median(inside):>9.2f} {statistics.median(ratios):>24.1f}  {min(ratios):>5.1f}..{max(ratios):<6.1f}"
        f" {lines:>8} {wrong:>14}"
    )


def _texts(place: _Place) -> set[str]:
    """Return the paths of the files on main that git shows as text; what else there is has no lines to compare."""
    empty = place.git("hash-object", "-t", "tree", "/dev/null").decode().strip()
    rows = os.fsdecode(place.git("diff", "--numstat", "-z", "--no-renames", "--ignore-submodules=all", empty, "main"))
    return {row.split("\t", 2)[2] for row in rows.split("\0") if row and not row.startswith("-")}


def _compare(place: _Place, blamed: dict[str, bytes], found: dict[str, list[list[str | None]]]) -> tuple[int, int]:
    """Return the number of lines of the blamed files, and of those for which `orch` names another task than git."""
    named = place.git("log", "--format=%H %(trailers:key=Provenance-Task,valueonly,separator=%x20)", "main")
    tasks = dict(line.partition(" ")[::2] for line in named.decode().splitlines())
    lines = wrong = 0
    for path, out in blamed.items():
        expected, commit = [], b""
        for raw in out.split(b"\n"):
            if raw.startswith(b"\t"):
                expected.append(tasks[commit.decode()] or None)
                commit = b""
            elif not commit:
                commit = raw.partition(b" ")[0]
        said = [task for first, last, _, task, *_ in found[path] for _ in range(int(first or 0), int(last or 0) + 1)]
        lines += len(expected)
        wrong += abs(len(expected) - len(said)) + sum(a != b for a, b in zip(expected, said, strict=False))
    return lines, wrong


class _Writer:
    """Writes commits by `git fast-import`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._out = bytearray(b"feature done\n")
        self._made = 0

    def commit(self, parents: list[str], changes: list[bytes], message: str) -> str:
        """Add a commit, and return its name in the stream; a change is a line of the stream, with its data."""
        self._made += 1
        text = message.encode()
        self._out += b"commit refs/heads/work\nmark :%d\ncommitter %s %d +0000\n" % (
            self._made,
            WHO,
            10**9 + self._made,
        )
        self._out += b"data %d\n%s\n" % (len(text), text)
        for nth, parent in enumerate(parents):
            self._out += b"%s %s\n" % (b"merge" if nth else b"from", parent.encode())
        self._out += b"".join(changes) + b"\n"
        return f":{self._made}"

    def landed(self, number: int, start: str, tip: str, changes: list[bytes]) -> str:
        """Land a task as a run does: its work on top of `start`, and the merge into `tip`; return the new tip."""
        values = dict.fromkeys(Provenance.__dataclass_fields__, "0123456789abcdef")
        task = f"T-{number:04}"
        by = Provenance(**{**values, "task": task, "generation": 1, "agent": f"agent-{number % 3}", "model": "m@1"})  # type: ignore[arg-type]
        work = self.commit([start], changes, message_with(f"{task}: work", "", by))
        return self.commit([tip, work], changes, message_with(f"Land {task}", "", by))

    def write(self, tip: str, base: str) -> str:
        """Write it all, `main` at the tip; return the full name of the base."""
        self._out += b"reset refs/heads/main\nfrom %s\n\nreset refs/heads/base\nfrom %s\n\ndone\n" % (
            tip.encode(),
            base.encode(),
        )
        command = ["git", "-C", str(self._path), "fast-import", "--quiet", "--force"]
        subprocess.run(command, input=bytes(self._out), env=ENVIRONMENT, check=True)
        command = ["git", "-C", str(self._path), "rev-parse", "base"]
        return subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def _from_range(path: Path, source: Path, revisions: str) -> _Place:
    """Clone a repository, and let each first-parent commit of a range be a task that landed."""
    subprocess.run(
        ["git", "clone", "--quiet", "--shared", "--bare", str(source), str(path)], env=ENVIRONMENT, check=True
    )
    base, _, head = revisions.partition("..")
    place = _Place(f"{source.resolve().name} {revisions}", path, base, 0)
    start = place.git("rev-parse", "--verify", f"{base}^{{commit}}").decode().strip()
    listed = place.git("log", "--first-parent", "--reverse", "--format=%T", f"{base}..{head}").decode().split()
    writer, tip = _Writer(path), start
    for number, tree in enumerate(listed):
        tip = writer.landed(number, tip, tip, [b"M 040000 %s \n" % tree.encode()])
    return place._replace(base=writer.write(tip, start), tasks=len(listed))


def _made(path: Path, size: int, tasks: int) -> _Place:
    """Make a repository with so many files that have a past, and so many landed tasks."""
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], env=ENVIRONMENT, check=True
    )
    project, writer = _Project(size), _Writer(path)
    base = writer.commit([], project.everything(), "start")
    for _ in range(200):
        base = writer.commit([base], project.edits(3), "before the run")
    tips = [base]
    for number in range(tasks):
        start = tips[max(0, len(tips) - 1 - project.dice.randint(0, 3))]  # others land while a task is worked on
        tips.append(writer.landed(number, start, tips[-1], project.task(number, len(tips) - tips.index(start))))
        if number % 10 == 9:
            tips.append(writer.commit([tips[-1]], project.edits(2), "by hand"))
        if number % 40 == 39:
            changes = project.edits(3)
            side = writer.commit([tips[-1]], changes, "a branch of somebody")
            tips.append(writer.commit([tips[-1], side], changes, "merge it"))
    return _Place("made", path, writer.write(tips[-1], base), tasks)


class _Project:
    """The files of a made repository, as they stand at its tip, and random changes of them."""

    def __init__(self, size: int) -> None:
        self.dice = random.Random(size)
        self._files = {
            f"src/part{n % 40}/unit{n % 7}/file{n}.py": [self._line() for _ in range(self.dice.randint(20, 200))]
            for n in range(size)
        }
        self._moved: dict[str, int] = {}  # path → the landing that changed it last
        self._landing = 0

    def _line(self) -> str:
        return self.dice.choice(
            ["", "    return None", "    }", f"    value_{self.dice.randint(0, 9999)} = {self.dice.random()}"]
        )

    def everything(self) -> list[bytes]:
        """Return the lines of the stream that add all files."""
        return [self._put(path) for path in self._files]

    def edits(self, count: int, since: int = 0) -> list[bytes]:
        """Edit some files, none of which others have changed within so many landings."""
        self._landing += 1
        return [self._edit(path) for path in self._some(count, since)]

    def task(self, number: int, since: int) -> list[bytes]:
        """Do what a task does: edit three files, add one or two; now and then move one and change it, or delete one."""
        changes = self.edits(3, since)
        for new in range(self.dice.randint(1, 2)):
            path = f"src/part{number % 40}/task{number}_{new}.py"
            self._files[path] = [self._line() for _ in range(self.dice.randint(10, 120))]
            changes.append(self._put(path))
        if number % 20 == 7:
            (old,) = self._some(1, since)
            new_path = old.replace(".py", f"_{number}.py")
            self._files[new_path] = self._files.pop(old)
            changes += [b"D %s\n" % old.encode(), self._edit(new_path)]
        if number % 25 == 3:
            (old,) = self._some(1, since)
            del self._files[old]
            changes.append(b"D %s\n" % old.encode())
        return changes

    def _some(self, count: int, since: int) -> list[str]:
        free = [path for path in self._files if self._landing - self._moved.get(path, -99) > 2 * since]
        chosen = self.dice.sample(free, count)
        self._moved.update(dict.fromkeys(chosen, self._landing))
        return chosen

    def _edit(self, path: str) -> bytes:
        lines = self._files[path]
        for _ in range(self.dice.randint(1, 3)):
            place = self.dice.randint(0, len(lines))
            lines[place : place + self.dice.randint(0, 4)] = [self._line() for _ in range(self.dice.randint(1, 8))]
        return self._put(path)

    def _put(self, path: str) -> bytes:
        self._moved[path] = self._landing
        text = "".join(f"{line}\n" for line in self._files[path]).encode()
        return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(text), text)


if __name__ == "__main__":
    main()

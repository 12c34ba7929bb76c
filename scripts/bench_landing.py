"""Landing, and the questions that it asks, beside git itself, on generated repositories of several sizes and on any given one.

Each line is one comparison: git and orch do the same work in turn, on copies of one repository, several times. What comes out
is asserted to be the same. The times are medians; the ratio is taken pair by pair, so that a machine that changes its speed
changes both.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_repos import Bench, describe_machine, generated, git, shell, work_branches
from bench_stage import hold_each, land_all, opened, worktrees_made

from orchestrator.git import query
from orchestrator.worktrees.radar import meetings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from bench_repos import Branch

LAND = """
for branch in "$@"; do
    git merge --quiet --no-ff --message "Land $branch" "$branch" >/dev/null || { git merge --abort; echo "$branch"; }
done
"""
PAIRS = """
while [ $# -gt 0 ]; do
    git merge-tree --write-tree --no-messages "$1" "$2" >/dev/null || echo "$1 $2"
    shift 2
done
"""
FACTS = 'for branch in "$@"; do git diff-tree -r --name-only --no-renames main "$branch"; echo; done'

ADD = 'place=$1; shift; for name in "$@"; do git worktree add --quiet --detach "$place/$name" main; done'
REMOVE = 'place=$1; shift; for name in "$@"; do git worktree remove --force "$place/$name"; done'
HOLD = (
    'cd "$1"; shift; for branch in "$@"; do git checkout --quiet --detach "$branch"; git rev-parse "HEAD^{tree}"; done'
)

WATCHED = {
    "merge_in_memory": "merge", "Candidates._commit": "commit", "Candidates._build_ahead": "build ahead",
    "Candidates.check": "check", "Candidates.conflict": "feedback", "sync_steps": "sync", "sync_ref": "sync",
    "Journal.sync": "sync", "move_ref": "ref moves", "BaseBranch._checkouts": "checkouts",
    "BaseBranch._follow": "checkouts", "step": "train", "Recorder.emit": "events", "Ledger.release": "board",
}  # fmt: skip
"""Which functions of orch make up a phase of landing."""


def main() -> None:
    """Measure, and print a table for each repository."""
    options = _options()
    print(describe_machine())
    for name, source in _sources(options):
        print(f"\n{name}\n{'':34} {'git s':>9} {'orch s':>9} {'times as fast':>14}  least..most")
        with Bench(source, bare=True) as free, Bench(source, bare=False) as held, Bench(source, bare=False) as theirs:
            _landing(free, theirs, options, "disjoint")
            _landing(held, theirs, options, "disjoint, main checked out")
            rivals = [range(options.branches // 10, options.branches + 1, options.branches // 10)]
            _landing(free, theirs, options, "10 with a common line", rivals)
            _pairs(free, theirs, options)
            _facts(free, theirs, options)
            _gate_folder(free, theirs, options)
            _worktrees(free, theirs, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes",
        type=_numbers,
        default=[150, 5000, 57000],
        metavar="N,N,…",
        help="files in the generated repositories",
    )
    parser.add_argument(
        "--repo", type=Path, action="append", default=[], help="a repository of yours; it is only copied"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--branches", type=int, default=50, help="branches to land")
    parser.add_argument("--worktrees", type=int, default=32)
    parser.add_argument("--worktrees-by-git", type=int, default=4, help="git makes so many; its time is scaled up")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _sources(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    for size in options.sizes:
        yield f"{size} files, generated", generated(size)
    for repo in options.repo:
        files = git(repo, "ls-tree", "-r", "--name-only", "HEAD").count(b"\n")
        yield f"{files} files, {repo}", repo.resolve()


def _compare(
    title: str, rounds: int, theirs: Callable[[int], tuple[float, Any]], ours: Callable[[int], tuple[float, Any]]
) -> tuple[float, float]:
    """Let both do round after round, the first one first in every other; print the line, and return the median seconds."""
    pairs = []
    for number in range(rounds):
        order = (theirs, ours) if number % 2 else (ours, theirs)
        (one, said), (other, also) = (act(number) for act in order)
        assert said == also, f"{title}: {said} is not {also}"
        pairs.append((one, other) if number % 2 else (other, one))
    ratios = sorted(git_seconds / seconds for git_seconds, seconds in pairs)
    medians = tuple(statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{title:34} {medians[0]:>9.3f} {medians[1]:>9.3f} {statistics.median(ratios):>14.1f}"
        f"  {ratios[0]:.1f}..{ratios[-1]:.1f}"
    )
    return medians[0], medians[1]


def _landing(ours: Bench, theirs: Bench, options: argparse.Namespace, kind: str, rivals: Sequence[range] = ()) -> None:
    """Land branches one after the other by `git merge --no-ff` in a checkout, and all at once by the merge train."""

    def work(bench: Bench, number: int) -> list[Branch]:
        bench.reset()
        return work_branches(bench, options.branches, salt=f"{kind} {number}", rivals=rivals)

    def by_git(number: int) -> tuple[float, object]:
        names = [branch.name for branch in work(theirs, number)]
        seconds, said = _timed(lambda: shell(theirs.path, LAND, *names))
        return seconds, (theirs.tree(), sorted(said.split()))

    def by_orch(number: int) -> tuple[float, object]:
        done = land_all(ours, work(ours, number))
        return done.seconds, (ours.tree(), sorted(done.refused))

    _compare(f"landing {options.branches}, {kind}", options.rounds, by_git, by_orch)
    with _Watch() as watch:
        done = land_all(ours, work(ours, options.rounds))
    parts = ", ".join(f"{phase} {seconds:.3f}" for phase, seconds in watch.longest())
    print(f"    watched, one round: {done.seconds:.3f} s, of which {done.cpu:.3f} are orch's own CPU; {parts}")


def _pairs(ours: Bench, theirs: Bench, options: argparse.Namespace) -> None:
    """Find out which of 435 pairs of branches do not merge; nothing may be left in the repository."""
    left, rivals = [], [range(number, number + 2) for number in range(1, 30, 2)]

    def by_git(number: int) -> tuple[float, object]:
        branches = work_branches(theirs, 30, salt=f"pairs {number}", rivals=rivals)
        names = [branch.name for pair in itertools.combinations(branches, 2) for branch in pair]
        seconds, said = _timed(lambda: shell(theirs.path, PAIRS, *names))
        return seconds, sorted(tuple(line.split()) for line in said.splitlines())

    def by_orch(number: int) -> tuple[float, object]:
        branches = work_branches(ours, 30, salt=f"pairs {number}", rivals=rivals)
        work = {branch.name: (ours.start, branch.commit) for branch in branches}
        objects, before = opened(ours).objects, ours.objects()
        seconds, found = _timed(lambda: meetings(objects, work))
        left.append(len(ours.objects() - before))
        return seconds, sorted((meeting.one, meeting.other) for meeting in found)

    _compare("435 pairs of 30", options.rounds, by_git, by_orch)
    assert not any(left), f"objects left: {left}"
    print(f"    objects left in the repository by orch: {sum(left)}")


def _facts(ours: Bench, theirs: Bench, options: argparse.Namespace) -> None:
    """Ask what each branch changes: of a work tree, and of the objects in one process."""
    ours.reset()
    theirs.reset()

    def by_git(number: int) -> tuple[float, object]:
        branches = work_branches(theirs, options.branches, salt=f"facts {number}")
        seconds, said = _timed(lambda: shell(theirs.path, FACTS, *(branch.name for branch in branches)))
        return seconds, [sorted(lines.split()) for lines in said.split("\n\n") if lines]

    def by_orch(number: int) -> tuple[float, object]:
        branches = work_branches(ours, options.branches, salt=f"facts {number}")
        objects = opened(ours).objects
        asked = [(ours.start, branch.commit) for branch in branches]
        seconds, found = _timed(lambda: query.changes_of_each(objects, asked))
        return seconds, [sorted(change.path for change in changes) for changes in found]

    medians = _compare(f"what {options.branches} branches change", options.rounds, by_git, by_orch)
    each = [seconds / options.branches * 1000 for seconds in medians]
    print(f"    a branch: git {each[0]:.2f} ms, orch {each[1]:.2f} ms")


def _gate_folder(ours: Bench, theirs: Bench, options: argparse.Namespace) -> None:
    """Move one worktree from candidate to candidate, as for gates; in both, nobody leaves anything in it."""
    tidying, place = [], theirs.folder / "gate"
    theirs.reset()
    ours.reset()
    shell(theirs.path, ADD, str(theirs.folder), place.name)

    def by_git(number: int) -> tuple[float, object]:
        names = [branch.name for branch in work_branches(theirs, 8, salt=f"gate {number}")]
        seconds, said = _timed(lambda: shell(theirs.path, HOLD, str(place), *names))
        return seconds, said.split()

    def by_orch(number: int) -> tuple[float, object]:
        done = hold_each(ours, work_branches(ours, 8, salt=f"gate {number}"))
        tidying.append(done.tidying)
        return done.holding, done.trees

    _compare("gate folder to 8 candidates", options.rounds, by_git, by_orch)
    print(
        f"    putting away what a gate may have left: {statistics.median(tidying) / 8 * 1000:.1f} ms each, not counted above"
    )
    shell(theirs.path, REMOVE, str(theirs.folder), place.name)


def _worktrees(ours: Bench, theirs: Bench, options: argparse.Namespace) -> None:
    """Make worktrees, one after the other, and remove them all."""
    count, some = options.worktrees, min(options.worktrees, options.worktrees_by_git)
    names = [f"worktree-{number}" for number in range(some)]
    removed: tuple[list[float], list[float]] = ([], [])

    def by_git(_number: int) -> tuple[float, object]:
        making, _ = _timed(lambda: shell(theirs.path, ADD, str(theirs.folder), *names))
        removing, _ = _timed(lambda: shell(theirs.path, REMOVE, str(theirs.folder), *names))
        removed[0].append(removing * count / some)
        return making * count / some, None

    def by_orch(_number: int) -> tuple[float, object]:
        made = worktrees_made(ours, count)
        removed[1].append(made.removing)
        return made.making, None

    scaled = f" (git: {some}, scaled)" if some < count else ""
    _compare(f"{count} worktrees{scaled}", options.rounds, by_git, by_orch)
    git_seconds, seconds = (statistics.median(column) for column in removed)
    print(f"    removing them: git {git_seconds:.3f} s, orch {seconds:.3f} s")


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


class _Watch:
    """Adds up the seconds spent in each phase, in all threads: they overlap, and being watched makes them longer."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def __enter__(self) -> _Watch:
        threading.setprofile(self._begin)
        sys.setprofile(self._hook())
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def longest(self) -> list[tuple[str, float]]:
        """Return the phases and their seconds, the longest first."""
        return sorted(self.seconds.items(), key=lambda phase: phase[1], reverse=True)

    def _begin(self, frame: FrameType, event: str, argument: object) -> None:
        hook = self._hook()
        sys.setprofile(hook)
        hook(frame, event, argument)

    def _hook(self) -> Callable[[FrameType, str, object], None]:
        open_calls: list[tuple[FrameType, float]] = []

        def hook(frame: FrameType, event: str, _argument: object) -> None:
            if event == "call" and frame.f_code.co_qualname in WATCHED:
                open_calls.append((frame, time.perf_counter()))
            elif event == "return" and open_calls and open_calls[-1][0] is frame:
                self.seconds[WATCHED[frame.f_code.co_qualname]] += time.perf_counter() - open_calls.pop()[1]

        return hook


if __name__ == "__main__":
    main()

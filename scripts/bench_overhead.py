"""What a run costs beyond plain git: N tasks that each write one file, against a shell script that does the same.

The reference makes a worktree and a branch for each task, writes the file, commits, merges with `--no-ff` and removes the
worktree, one task after the other. Both start from the same small repository, in turn, several times; the ratio is taken
pair by pair, so that a machine that changes its speed changes both.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REFERENCE = """
set -e
for n in $(seq 1 "$1"); do
    git worktree add --quiet --no-track -b "task-$n" "$2/task-$n" main
    echo "text $n" > "$2/task-$n/file-$n.txt"
    git -C "$2/task-$n" add --all
    git -C "$2/task-$n" commit --quiet --message "task $n"
    git merge --quiet --no-ff --message "land task $n" "task-$n"
    git worktree remove "$2/task-$n"
done
"""


def main() -> None:
    """Measure and print one line a size."""
    options = _options()
    print(f"{'N':>5} {'shell s':>9} {'orch s':>9} {'orch ms/task':>13} {'ratio (median of pairs)':>24}  min..max")
    for size in options.sizes:
        pairs = [(_shell(size), _orch(size, options.jobs)) for _ in range(options.repeat)]
        ratios = [ours / theirs for theirs, ours in pairs]
        shell, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{size:>5} {shell:>9.2f} {ours:>9.2f} {ours / size * 1000:>13.1f} {statistics.median(ratios):>24.2f}"
            f"  {min(ratios):.2f}..{max(ratios):.2f}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 50, 200], help="numbers of tasks")
    parser.add_argument("--jobs", type=int, default=2, help="agents at once")
    parser.add_argument("--repeat", type=int, default=3, help="pairs a size")
    return parser.parse_args()


def _shell(size: int) -> float:
    with _Workplace() as place:
        (place.folder / "worktrees").mkdir()
        return place.timed(["sh", "-c", REFERENCE, "sh", str(size), str(place.folder / "worktrees")], size)


def _orch(size: int, jobs: int) -> float:
    with _Workplace() as place:
        tasks = "".join(
            f'  - {{id: "t{n}", writes: [file-{n}.txt], steps: [{{write: {{path: file-{n}.txt, text: "text {n}\\n"}}}}]}}\n'
            for n in range(1, size + 1)
        )
        plan = place.folder / "plan.yaml"
        plan.write_text(f"version: 1\nname: overhead\ntasks:\n{tasks}")
        return place.timed([sys.executable, "-m", "orchestrator", "run", str(plan), "--jobs", str(jobs)], size)


class _Workplace:
    """A folder with a fresh repository, sealed from the machine's configuration."""

    def __enter__(self) -> _Workplace:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.repo = self.folder / "repo"
        self.env = {
            **os.environ, "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "b",
            "GIT_AUTHOR_EMAIL": "b@example.org", "GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@example.org",
        }  # fmt: skip
        subprocess.run(["git", "init", "--quiet", "--initial-branch", "main", str(self.repo)], env=self.env, check=True)
        (self.repo / "README").write_text("start\n")
        for command in (["add", "--all"], ["commit", "--quiet", "--message", "start"]):
            subprocess.run(["git", *command], cwd=self.repo, env=self.env, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)

    def timed(self, command: list[str], size: int) -> float:
        """Run a command in the repository, check that all files are on main, and return the seconds it took."""
        started = time.perf_counter()
        done = subprocess.run(command, cwd=self.repo, env=self.env, stdout=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - started
        assert done.returncode == 0
        landed = [p for p in self.repo.iterdir() if p.name.startswith("file-")]
        assert len(landed) == size, f"{len(landed)} of {size} files are there"
        return seconds


if __name__ == "__main__":
    main()

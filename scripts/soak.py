"""Run random plans, disturb them at random, and look whether each ends as if nobody had.

What is done to a run: orch is killed after a random time or at a random point of `orchestrator.effects`, again and again, also
while it resumes; agents are killed; `git gc --prune=now` is run; git processes that orch has started are killed. After a few
kills it is left in peace. What must hold in the end is in `tests/support/crash.py`.

Each run has a seed, from which its plan and everything that is done to it follow; the times at which processes get the
processor do not, so a seed shows a fault often, and not always. The folder of a run with a violation is kept.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.effects import POINTS
from tests.support.crash import KINDS, ONCE, Story, go, has_landed, make_story, processes_of, violations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MODES = ("worktree", "worktree", "crdt", "sequential")  # what has the most to go wrong, most often
MOST_KILLS = 6
MOST_LAUNCHES = MOST_KILLS + 4
DEEDS = ("agents killed", "collections", "git processes killed")


@dataclass
class Result:
    """What was done in one run, and what came of it."""

    seed: int
    folder: Path
    mode: str
    tasks: int
    done: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def main() -> int:
    """Run until the time is over; return 1 if something did not hold."""
    options = _options()
    _seal()
    until = time.monotonic() + options.minutes * 60
    done: Counter[str] = Counter()
    faulty: list[Result] = []
    for result in _results(itertools.count(options.seed), options.jobs, lambda: time.monotonic() < until):
        print(_line(result), flush=True)
        done += Counter({"runs": 1}) + result.done
        if result.faults:
            faulty.append(result)
            print("\n".join(f"    {line}" for fault in result.faults for line in fault.splitlines()), flush=True)
    print(", ".join(f"{count} {what}" for what, count in done.items()))
    print(f"{sum(len(result.faults) for result in faulty)} violations in {len(faulty)} runs")
    for result in faulty:
        print(f"    scripts/soak --minutes 0 --seed {result.seed}    {result.folder}")
    return 1 if faulty else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="how long to begin new runs; 0: one run")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of the first run; the next has the next"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    return parser.parse_args()


def _seal() -> None:
    """Take away what the machine's git and the caller would say."""
    for name in [n for n in os.environ if n.startswith(("GIT_", "ORCH_", "XDG_"))]:
        del os.environ[name]
    os.environ.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull, HOME="/nonexistent", LC_ALL="C.UTF-8")


def _results(seeds: Iterator[int], jobs: int, go_on: Callable[[], bool]) -> Iterator[Result]:
    """Yield each run's result as it comes; so many run side by side, and new ones begin for as long as they may."""
    with ThreadPoolExecutor(jobs) as pool:
        running: set[Future[Result]] = {pool.submit(one_run, next(seeds)) for _ in range(jobs if go_on() else 1)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                if go_on():
                    running.add(pool.submit(one_run, next(seeds)))
                yield future.result()


def _line(result: Result) -> str:
    done = ", ".join(f"{count} {what}" for what, count in (+result.done).items()) or "undisturbed"
    verdict = f"{len(result.faults)} VIOLATIONS, see {result.folder}" if result.faults else "ok"
    return f"seed {result.seed}: {result.mode}, {result.tasks} tasks, {done}, {result.seconds:.1f} s: {verdict}"


def one_run(seed: int) -> Result:
    """Run one random plan to its end, and look at what is there then."""
    chance = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix=f"soak-{seed}-")).resolve()
    mode = chance.choice(MODES)
    parts = random_parts(chance, ("shared",) if mode == "crdt" else tuple(KINDS))
    story = make_story(folder, parts, jobs=chance.randint(1, 4), mode=mode)
    result = Result(seed=seed, folder=folder, mode=mode, tasks=len(parts))
    started = time.monotonic()
    _disturb_to_the_end(story, chance, result)
    result.seconds = time.monotonic() - started
    result.faults += violations(story)
    if not result.faults:
        shutil.rmtree(folder)
    return result


def random_parts(chance: random.Random, among: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return a plan's parts: their kinds, and which earlier ones each of them needs."""
    parts: list[tuple[str, list[int]]] = []
    for number in range(chance.randint(2, 9)):
        kinds = [kind for kind in among if kind != ONCE or ONCE not in {part for part, _ in parts}]
        needs = chance.sample(range(number), k=min(number, chance.choice((0, 0, 0, 1, 2))))
        parts.append((chance.choice(kinds), sorted(needs)))
    return parts


def _disturb_to_the_end(story: Story, chance: random.Random, result: Result) -> None:
    """Run and resume until the run is over: killed a few times, then left in peace."""
    kills = chance.randint(0, MOST_KILLS)
    deeds = [deed for deed in DEEDS if chance.random() < 0.35]
    for launch in range(MOST_LAUNCHES):
        if launch:
            result.done["resumes"] += 1
        kill_at, kill_after = "", None
        if launch < kills and chance.random() < 0.5:
            kill_at = f"{chance.choice(POINTS)}:{1 + int(chance.expovariate(0.4))}"
        elif launch < kills:
            kill_after = chance.uniform(0.2, 2.5)
        with _Saboteur(story, random.Random(chance.random()), deeds if launch <= kills else [], result.done):
            try:
                said = go(story, kill_at=kill_at, kill_after=kill_after)
            except AssertionError as fault:
                result.faults.append(f"launch {launch}: {fault}")
                return
        (story.folder / f"said-{launch}").write_text(f"{kill_at or kill_after}: {said.code}\n{said.out}{said.err}")
        if said.code == -signal.SIGKILL:
            result.done[f"kills {'at a point' if kill_at else 'after a time'}"] += 1
        elif said.code != 0 and not result.done["git processes killed"]:
            result.faults.append(f"launch {launch} ended with {said.code}: {said.err.strip()[-2000:]}")
        if has_landed(story) or result.faults:
            return


class _Saboteur:
    """Does some of the deeds, one after the other at random times, for as long as it lasts."""

    def __init__(self, story: Story, chance: random.Random, deeds: list[str], done: Counter[str]) -> None:
        self._story, self._chance, self._deeds, self._done = story, chance, deeds, done
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while self._deeds and not self._over.wait(self._chance.uniform(0.02, 0.6)):
            deed = self._chance.choice(self._deeds)
            self._done[deed] += {"agents killed": self._kill_agent, "collections": self._collect}.get(
                deed, self._kill_git
            )()

    def _kill_agent(self) -> bool:
        return self._kill_one_of(processes_of(self._story, "ORCH_TASK="))

    def _kill_git(self) -> bool:
        ours = processes_of(self._story, "GIT_DIR=")
        return self._kill_one_of({pid: command for pid, command in ours.items() if "git" in command.split()[:1]})

    def _kill_one_of(self, processes: dict[int, str]) -> bool:
        if processes:
            pid = self._chance.choice(sorted(processes))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
        return bool(processes)

    def _collect(self) -> bool:
        collected = subprocess.run(
            ["git", "gc", "--prune=now", "--quiet"], cwd=self._story.repo.path, capture_output=True, check=False
        )
        return collected.returncode == 0


if __name__ == "__main__":
    sys.exit(main())

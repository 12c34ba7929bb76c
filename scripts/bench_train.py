"""What the merge train gains: N finished tasks landed by a train, against the same landed one at a time, and against the ideal.

Every gate takes a fixed time (it sleeps, so it needs no processor), and a share of the tasks fails it. These are real runs on
real repositories; what is measured is the time from the first submission to the last landing or refusal. One at a time is the
same run with `merge: {window: 1}`. The ideal is one gate run a task, as many at once as there are slots, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

_OVER = {"landed", "refused"}


class Point(NamedTuple):
    """One measured size: seconds by the train, one at a time, and at best."""

    items: int
    failing: int
    train: float
    serial: float
    ideal: float


def main() -> None:
    """Measure, print one line a point, and draw the curves if a file is named."""
    options = _options()
    git = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    print(
        f"{os.cpu_count()} processors, git {git}, load {os.getloadavg()[0]:.1f}; gate {options.gate} s, {options.slots} slots"
    )
    print(
        f"{'N':>4} {'failing %':>9} {'serial s':>9} {'train s':>8} {'ideal s':>8} {'serial/train':>13} {'train/ideal':>12}"
    )
    points = []
    for failing in options.failures:
        for items in options.items:
            pairs = [
                (_landed(items, failing, 1, options), _landed(items, failing, options.slots, options))
                for _ in range(options.repeat)
            ]
            serial, train = (statistics.median(column) for column in zip(*pairs, strict=True))
            point = Point(items, failing, train, serial, math.ceil(items / options.slots) * options.gate)
            points.append(point)
            print(
                f"{items:>4} {failing:>9} {serial:>9.2f} {train:>8.2f} {point.ideal:>8.2f} {serial / train:>13.2f}"
                f" {train / point.ideal:>12.2f}",
                flush=True,
            )
    if options.plot:
        _draw(points, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[5, 10, 20, 50, 100], help="numbers of tasks")
    parser.add_argument("--failures", type=int, nargs="+", default=[0, 10, 20, 30], help="per cent of them that fail")
    parser.add_argument("--gate", type=float, default=0.5, help="seconds that a gate takes")
    parser.add_argument("--slots", type=int, default=8, help="gates at once")
    parser.add_argument("--repeat", type=int, default=1, help="pairs a point; the median counts")
    parser.add_argument("--plot", type=Path, help="draw the curves into this file (.svg or .png; needs matplotlib)")
    return parser.parse_args()


def _landed(items: int, failing: int, slots: int, options: argparse.Namespace) -> float:
    """Return the seconds from the first submission of a run to its last landing or refusal."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        env = {**os.environ, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
        person = ("-c", "user.name=b", "-c", "user.email=b@example.org")
        for command in (
            ("init", "--quiet", "--initial-branch=main"),
            ("commit", "--quiet", "--allow-empty", "--message=start"),
        ):
            subprocess.run(["git", *person, *command], cwd=_made(folder / "repo"), env=env, check=True)
        plan = folder / "plan.yaml"
        plan.write_text(_plan(items, failing, slots, options.gate))
        orch = [sys.executable, "-m", "orchestrator"]
        run = subprocess.run(
            [*orch, "run", plan, "--json"], cwd=folder / "repo", env=env, capture_output=True, text=True, check=False
        )
        report = json.loads(run.stdout)
        bad = len(_bad(items, failing))
        landed = sum(task["status"] == "landed" for task in report["tasks"])
        assert landed == items - bad, f"{landed} of {items} landed, though {bad} fail"
        log = subprocess.run(
            [*orch, "log", "--json"], cwd=folder / "repo", env=env, capture_output=True, text=True, check=True
        )
        events = [json.loads(line) for line in log.stdout.splitlines()]
        first = min(event["at"] for event in events if event["kind"] == "submitted")
        return float(max(event["at"] for event in events if event["kind"] in _OVER) - first)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _bad(items: int, failing: int) -> set[int]:
    """Return which tasks fail: always the same for one size and share."""
    return set(random.Random(items).sample(range(items), items * failing // 100))


def _plan(items: int, failing: int, slots: int, gate: float) -> str:
    bad = _bad(items, failing)
    tasks = [
        {
            "id": f"t{n}", "writes": [f"f{n}"], "attempts": 1,
            "steps": [{"write": {"path": f"f{n}", "text": "bad\n" if n in bad else f"{n}\n"}}],
        }
        for n in range(items)
    ]  # fmt: skip
    gates = [{"name": "g", "run": f"sleep {gate}; ! grep -qx bad f*"}]
    merge = {"window": slots, "slots": slots}
    return json.dumps({"version": 1, "name": "train", "tasks": tasks, "gates": gates, "merge": merge})


def _draw(points: list[Point], options: argparse.Namespace) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        sys.exit("The curves are drawn with matplotlib: pip install '.[compare]'.")
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for failing in options.failures:
        curve = [point for point in points if point.failing == failing]
        axes.plot([p.items for p in curve], [p.train for p in curve], marker="o", label=f"train, {failing} % fail")
    clean = [point for point in points if point.failing == options.failures[0]]
    axes.plot([p.items for p in clean], [p.serial for p in clean], "k--", label="one at a time")
    axes.plot([p.items for p in clean], [p.ideal for p in clean], "k:", label="ideal")
    axes.set_xlabel("tasks")
    axes.set_ylabel("seconds to land all")
    axes.set_title(f"gate {options.gate} s, {options.slots} slots")
    axes.legend()
    figure.tight_layout()
    figure.savefig(options.plot)
    print(f"The curves are in {options.plot}.")


if __name__ == "__main__":
    main()

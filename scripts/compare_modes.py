"""Compares the modes on the example plan and on one hot file at several couplings, and writes docs/comparison.md."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from orchestrator.compare.trials import Trial, read_trials, trials_text

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "user-management"
DOCS = ROOT / "docs"
COUPLINGS = (0.0, 0.5, 1.0)
JOBS = (1, 4, 16)
TASKS, TOKENS, RATE, FIRST = 12, 26, 100, 0.02
PLOTS = {
    "scaling": "Wall time by number of agents",
    "time": "Wall time of each trial",
    "overhead": "Orchestration overhead by phase",
}


TEXT = """\
# The modes compared, with a simulated model

**Simulation: no model worked here.** Scripts wrote at a stated rate in the place of agents. Processes, git, checks,
gates and landing are real, and so is the time that these take. [What this cannot say](#what-this-cannot-say) is as
important as the figures.

Written by `scripts/compare`: {trials} trials, {failed} of them failed, in {minutes:.1f} minutes; orch
{versions[orch]}, Python {versions[python]}, git {versions[git]}, {machine[processors]} processors, {machine[kind]}.
The raw rows are in [comparison/trials.csv](comparison/trials.csv); `orch compare --from docs/comparison/trials.csv
--out DIR` makes the full report.

## What was tried

- `user-management`: the plan of [the example](../examples/user-management/README.md), eight tasks on seven tracks,
  each with files of its own, 4 agents at once. The generation that is meant to fail is left out: it would count against
  whoever must begin all work anew. Its scripts wait for fractions of a second where a model would write.
- `hot-file-0`, `hot-file-50`, `hot-file-100`: {tasks} pieces of one file, {tokens} tokens each at {rate} tokens a
  second after {first:g} s. 0, 50 and 100 % of the pieces use the one before them; the first has none. Pieces at the
  same depth of use are the TODOs of one task, since tasks that write one file must come one after another. Mode crdt
  gives each TODO to a writer of its own; in mode worktree one agent does a task with all its TODOs.
- Agents: {jobs} at once on the hot file. With {tasks} pieces, some of 16 agents have nothing to do.

## Wall time in seconds

Simulated trials: mean, and in brackets the least and the most.

{times}

{plots}

## What the analysis says

Of simulated trials:

{said}

## Static coupling, told before the run

The share of parts that use what another part establishes, from names and imports in what the scripts will write.

{coupling}

## What this cannot say

- How good work is. Every piece is right the first time; a real model errs, and errs more often where it cannot see
  what others write. The key `errors` of a simulation makes pieces fail, but how often they would is a guess.
- What a real model does with what it sees of others: whether it writes more or less, reads their work, or asks.
- How large a gain is with long tasks. A piece takes a fraction of a second here, a real task takes minutes: landing,
  checks and the start of processes weigh far more here than they would.
- What happens at exactly the stated rate. In mode sequential, writing took {ratio:.2f} times as long as the rate
  says, since each token costs some time of its own beside the wait; the modes differ in that, so a small difference
  between them at equal numbers of agents means nothing.
- Small differences. There are {each} trials of each kind: enough to see a factor of two, not a tenth.
- What happens elsewhere. Gates and git share the processors of one small machine; limits of providers on requests,
  which many agents meet, are not simulated.
- What plans that are made for one mode would show: the same plan was given to all three.
"""


def main() -> None:
    """Run all trials, analyse them together, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2, help="trials of each plan, mode and number of agents")
    trials = parser.parse_args().trials
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="orch-scripts-compare-") as name:
        work = Path(name)
        plan, repository = example_without_mistake(work)
        found = compare(work / "example", trials, str(plan), "--repo", str(repository), "--jobs", "4")
        for coupling in COUPLINGS:
            spec = work / f"hot-{coupling}.yaml"
            spec.write_text(yaml.safe_dump(hot_file(coupling)))
            jobs = ",".join(map(str, JOBS))
            found += compare(work / f"hot-{coupling}", trials, "--simulate", str(spec), "--jobs", jobs)
        seconds = time.monotonic() - started
        machine = json.loads((work / "example" / "environment.json").read_text())["environments"][-1]
        (work / "trials.csv").write_text(trials_text(found))
        orch("compare", "--from", str(work / "trials.csv"), "--out", str(work / "all"))
        report = json.loads((work / "all" / "report.json").read_text())
        publish(work / "all", found)
    (DOCS / "comparison.md").write_text(document(found, report, machine, seconds))


def example_without_mistake(work: Path) -> tuple[Path, Path]:
    """Return the example's plan without the generation that is meant to fail, and a repository for it."""

    def kept(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for step in steps:
            if "when" in step:
                found += kept(step["when"]["do"]) if step["when"]["generation"] == 2 else []
            else:
                found.append(step)
        return found

    folder, repository = work / "plan", work / "repository"
    shutil.copytree(EXAMPLE, folder)
    plan = yaml.safe_load((folder / "plan.yaml").read_text())
    for task in plan["tasks"]:
        task["steps"] = kept(task["steps"])
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    shutil.copytree(EXAMPLE / "start", repository)
    person = ("-c", "user.name=compare", "-c", "user.email=compare@localhost")
    for arguments in (
        ("init", "--quiet", "--initial-branch", "main"), ("add", "--all"), (*person, "commit", "--quiet", "-m", "start"),
    ):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=repository, check=True)
    return folder / "plan.yaml", repository


def hot_file(coupling: float) -> dict[str, Any]:
    """Return the simulation: pieces of one file, of which some use the one before them."""
    return {
        "name": f"hot-file-{round(coupling * 100)}", "tasks": TASKS, "coupling": coupling, "tokens": TOKENS, "rate": RATE,
        "first_token": f"{round(FIRST * 1000)}ms", "hot_file": True,
    }  # fmt: skip


def compare(out: Path, trials: int, *arguments: str) -> list[Trial]:
    """Make the trials of one plan and return them."""
    orch("compare", *arguments, "--trials", str(trials), "--out", str(out))
    return list(read_trials(out / "trials.csv"))


def orch(*arguments: str) -> None:
    """Run `orch`; what it tells goes to the terminal."""
    subprocess.run([sys.executable, "-m", "orchestrator", *arguments], check=True, stdout=subprocess.DEVNULL)


def publish(report: Path, trials: list[Trial]) -> None:
    """Put the raw rows and the plots beside the document."""
    folder = DOCS / "comparison"
    folder.mkdir(exist_ok=True)
    (folder / "trials.csv").write_text(trials_text(trials))
    for name in PLOTS:
        shutil.copy(report / "plots" / f"{name}.svg", folder / f"{name}.svg")


def document(trials: list[Trial], report: dict[str, Any], machine: dict[str, Any], seconds: float) -> str:
    """Return docs/comparison.md."""
    hot = [t for t in trials if t.task == "hot-file-0" and t.mode == "sequential" and t.agent_seconds and t.characters]
    plots = [
        f"Simulated trials. {title}:\n\n![Simulated trials. {title}](comparison/{name}.svg)"
        for name, title in PLOTS.items()
    ]
    return TEXT.format(
        trials=len(trials), failed=report["failed"], minutes=seconds / 60, versions=machine["versions"],
        machine=machine["machine"], tasks=TASKS, tokens=TOKENS, rate=RATE, first=FIRST, jobs=", ".join(map(str, JOBS)),
        times=times(trials), plots="\n\n".join(plots), said="\n".join(f"- {text}" for text in report["said"]["Which mode"]),
        coupling=coupling(trials), each=max(trial.run for trial in trials),
        ratio=statistics.fmean((t.agent_seconds or 0) / pace(t) for t in hot),
    )  # fmt: skip


def times(trials: list[Trial]) -> str:
    """Return the mean time of each plan and arm as a table."""
    tasks = list(dict.fromkeys(trial.task for trial in trials))
    arms = sorted(
        {(t.mode, t.agents or 1) for t in trials}, key=lambda arm: (arm[0] != "sequential", arm[0] == "crdt", arm[1])
    )
    rows = [f"| simulated: mode, agents | {' | '.join(tasks)} |", f"|---|{'---|' * len(tasks)}"]
    for mode, agents in arms:
        cells = [time_cell([t for t in trials if (t.task, t.mode, t.agents) == (task, mode, agents)]) for task in tasks]
        rows.append(f"| {mode}, {agents} | {' | '.join(cells)} |")
    return "\n".join(rows)


def time_cell(trials: list[Trial]) -> str:
    """Return mean, least and most of these trials."""
    good = [t.wall_seconds for t in trials if not t.error and t.wall_seconds]
    if good:
        return f"{statistics.fmean(good):.1f} ({min(good):.1f} to {max(good):.1f})"
    return "failed" if trials else "-"


def coupling(trials: list[Trial]) -> str:
    """Return the static coupling of each plan as a table."""
    found = {trial.task: trial.coupling for trial in trials}
    rows = [f"| {task} | {share:.0%} |" for task, share in found.items() if share is not None]
    return "\n".join(["| plan | coupled |", "|---|---|", *rows])


def pace(trial: Trial) -> float:
    """Return the seconds that a trial's writing takes at the stated rate."""
    return TASKS * FIRST + (trial.characters or 0) / 4 / RATE


if __name__ == "__main__":
    main()

"""What became of a run: `report.json` for programs, and a summary for people, both from the same state."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, cast

from orchestrator.effects import reached
from orchestrator.model.finding import ConflictKind, Severity
from orchestrator.model.globs import Scope, overlapping_pairs
from orchestrator.model.payoff import payoff_of
from orchestrator.model.state import RunState, TaskState, TaskStatus
from orchestrator.model.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.model.formats import Conflicts, EndStatus, PayoffJson, Report, TaskReport
    from orchestrator.model.plan import Plan, Task
    from orchestrator.planfile import LoadedPlan

__all__ = ["conflicts_of", "ordered_overlaps", "report_of", "summary_of", "write_report"]


def report_of(plan: Plan, state: RunState) -> Report:
    """Return the report of a run that has ended."""
    started, ended = state.started, state.ended
    assert started is not None
    assert ended is not None
    return {
        "version": 1,
        "run": started.run,
        "plan": started.plan,
        "mode": started.mode,
        "status": ended.status,
        "stopped": state.stopping or None,
        "resumed": state.resumed,
        "base": {"branch": started.base, "before": started.commit, "after": ended.commit},
        "tasks": [_task(plan, task, state.tasks[task.id]) for task in plan.tasks],
        "conflicts": conflicts_of(plan, state, ordered_overlaps(plan)),
        "timings": _timings(state),
        "payoff": _payoff(plan, state),
        "cost_usd": round(state.cost_usd, 6),
        "folder": started.folder,
    }


def write_report(loaded: LoadedPlan, state: RunState, folder: Path) -> Report:
    """Write `report.json` into the run's folder, whole or not at all, and return it."""
    report = report_of(loaded.plan, state)
    temporary = folder / ".report.json"
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    reached("report-write")
    temporary.replace(folder / "report.json")
    reached("report-written")
    return report


def _task(plan: Plan, task: Task, state: TaskState) -> TaskReport:
    attempt = state.attempt
    return {
        "id": task.id,
        "title": task.title,
        "status": cast("EndStatus", state.status.value),  # final, since the run has ended
        "reason": clean_text(state.reason) or None,
        "generation": state.generation,
        "commit": state.landed,
        "branch": state.kept.branch if state.kept else None,
        "agent": task.agent,
        "model": attempt.model if attempt else plan.agent_of(task).model,
        "seconds": round(state.seconds, 3),
        "cost_usd": round(state.cost_usd, 6),
        "transcript": attempt.transcript if attempt else None,
        "confined": attempt.confined if attempt else None,
        "files": state.kept.files if state.kept else None,
        "refusals": [{"generation": r.generation, "reason": clean_text(r.reason)} for r in state.refusals],
        "checks": [{"stage": c.stage, **c.result.as_json()} for c in state.checks],
    }


def conflicts_of(plan: Plan, state: RunState, prevented: int) -> Conflicts:
    """Return how many conflicts were prevented (`ordered_overlaps`), seen early, and met at the merge, and who resolved them."""
    failed = [(task, check) for task, now in state.tasks.items() for check in now.failed_checks]
    stages = Counter(check.stage for _, check in failed)
    kinds = Counter(v.conflict for _, check in failed for v in check.result.violations if v.severity is Severity.ERROR)
    resolved = Counter(
        "ai" if plan.agent_of(plan.task(task)).model else "auto"
        for task, _ in failed
        if state.tasks[task].status is TaskStatus.LANDED
    )
    return {
        "prevented": prevented,
        "detected_early": stages["submission"] + len(state.overlaps),
        "at_merge": stages["landing"],
        "by_type": {
            "direct": kinds[ConflictKind.DIRECT] + len(state.overlaps),
            "semantic": kinds[ConflictKind.SEMANTIC],
            "structural": kinds[ConflictKind.STRUCTURAL],
            "behavioral": kinds[ConflictKind.BEHAVIORAL],
            "dependency": kinds[ConflictKind.DEPENDENCY],
        },
        "resolved": {"auto": resolved["auto"], "ai": resolved["ai"], "human": resolved["human"]},
    }


def ordered_overlaps(plan: Plan) -> int:
    """Count the pairs of tasks whose scopes meet in a path; a valid plan has `needs` between each two of them."""
    scopes = {task.id: Scope(plan.owned(task)) for task in plan.tasks}
    return sum(1 for _ in overlapping_pairs(scopes))


def _timings(state: RunState) -> dict[str, float]:
    tasks = state.all_tasks.values()
    checks = [c for task in tasks for c in task.checks]
    gates = [c for c in checks if c.result.name.startswith("gate:")]
    seconds = {
        "total": state.ended.seconds if state.ended else 0.0,
        "contracts": state.contracts.seconds if state.contracts else 0.0,
        "agents": sum(task.seconds for task in tasks),
        "checks": sum(c.result.seconds for c in checks) - sum(c.result.seconds for c in gates),
        "gates": sum(c.result.seconds for c in gates),
        "landing": sum(task.landing_seconds for task in tasks),
    }
    return {phase: round(value, 3) for phase, value in seconds.items()}


def _payoff(plan: Plan, state: RunState) -> PayoffJson:
    """Return when work side by side pays, by what landing has taken in this run."""
    landings = [task.landing_seconds for task in state.tasks.values() if task.status is TaskStatus.LANDED]
    found = payoff_of({task.id: task.needs for task in plan.tasks}, state.jobs or 1, landings)
    known = found.landing is not None and state.ended is not None and not state.resumed and len(plan.tasks) > 1
    alone = sum(task.seconds for task in state.all_tasks.values()) + (found.landing or 0.0)  # one agent lands once
    return {
        "tasks": found.tasks, "jobs": found.jobs, "length": found.length, "landing": found.landing,
        "break_even": found.break_even,
        "saved": round(alone - state.ended.seconds, 3) if known and state.ended else None,
    }  # fmt: skip


def summary_of(report: Report, width: int) -> Iterator[str]:
    """Yield the summary: what landed, what did not and why, time by phase, where to look next; rows of at most `width`."""
    tasks = report["tasks"]
    landed = [t for t in tasks if t["status"] == "landed"]
    base = report["base"]
    same = base["before"] == base["after"]
    moved = "; nothing was changed there." if same else f" ({base['before'][:12]} → {base['after'][:12]})."
    yield f"{len(landed)} of {len(tasks)} task{'s' * (len(tasks) != 1)} landed on {base['branch']}{moved}"
    if report["stopped"]:
        yield f"The run was stopped: {report['stopped']}."
    yield ""
    yield from _table([_row(task) for task in tasks], width)
    yield ""
    timings = report["timings"]
    spent = {name: s for name, s in timings.items() if name not in {"total", "landing"} and s >= 0.05}
    phases = (
        "; added up over the tasks: " + ", ".join(f"{name} {s:.1f} s" for name, s in spent.items()) if spent else ""
    )
    since = " since it was resumed" if report["resumed"] else " in all"
    yield f"Time: {timings['total']:.1f} s{since}{phases}."
    if timings["agents"] >= 1:
        yield from _paid(report)
    if report["cost_usd"]:
        yield f"Cost: ${report['cost_usd']:.2f}"
    yield f"Report and transcripts: {report['folder']}"
    yield ""
    yield from _next_steps(report, landed)


def _paid(report: Report) -> Iterator[str]:
    """Yield what working side by side has saved or cost, by the times that the attempts and landings took."""
    payoff = report["payoff"]
    if (saved := payoff["saved"]) is not None:
        how = "saved" if saved >= 0 else "cost"
        yield f"Side by side {how} about {abs(saved):.1f} s, against the same attempts one after another, landed once."
    if payoff["break_even"] is not None:
        yield f"It pays from about {payoff['break_even']:.1f} s a task on: landing one took {payoff['landing']:.1f} s."


def _row(task: TaskReport) -> list[str]:
    what = f"as {task['commit'][:12]}" if task["commit"] else (task["reason"] or "")
    if task["commit"] and task["files"] == 0:
        what += ", with no change"
    if task["commit"] and task["refusals"]:
        what += f", after: {task['refusals'][-1]['reason']}"
    generation = f"gen {task['generation']}" if task["generation"] else ""
    return [task["id"], task["status"], generation, f"{task['seconds']:.1f} s", what]


def _table(rows: list[list[str]], width: int) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "  " + "  ".join(cell.ljust(room) for cell, room in zip(row, widths, strict=True)).rstrip()
        yield line if len(line) <= width else line[: width - 1] + "…"


def _next_steps(report: Report, landed: list[TaskReport]) -> Iterable[str]:
    steps, ended = {}, {t["status"] for t in report["tasks"]}
    if "cancelled" in ended or ("blocked" in ended and "failed" not in ended):
        steps[f"orch resume {report['run']}"] = "go on with what was cut off"
    if "failed" in ended:
        steps[f"orch resume {report['run']} --retry"] = "let what has failed start anew"
    if "failed" in ended and not landed and report["mode"] == "worktree" and len(report["tasks"]) > 1:
        steps["orch run --mode sequential PLAN"] = "let one agent do all of it, in sequence"
    if landed:
        steps[f"orch blame --task {landed[0]['id']}"] = "which lines a task wrote"
        steps["orch blame PATH:LINE"] = "which task, agent and model wrote a line"
    if steps:
        room = max(map(len, steps))
        yield "Next:"
        yield from (f"  {command:{room}}  {what}" for command, what in steps.items())
    lost = [t for t in report["tasks"] if t["status"] != "landed" and t["files"]]
    if lost:
        yield "Not landed, and kept:"
        yield from (f"  git diff {report['base']['branch']}...{task['branch']}" for task in lost)

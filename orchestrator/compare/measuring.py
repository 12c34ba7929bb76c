"""What one trial came to, measured on what its run has left: report, journal, board, and the files that landed."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.board.log import read_board
from orchestrator.board.questions import PERSON
from orchestrator.board.snapshot import take
from orchestrator.errors import BoardError
from orchestrator.git import query
from orchestrator.journal.journal import state_in
from orchestrator.model.together import TOGETHER
from orchestrator.syntax.faults import error_nodes
from orchestrator.syntax.parse import language_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.git.command import Git
    from orchestrator.git.repository import Repository
    from orchestrator.model.formats import Report
    from orchestrator.model.state import RunState

__all__ = ["measured", "why_failed", "written"]


def measured(report: Report, repository: Repository) -> dict[str, Any]:
    """Return the measures of a run that has ended, by their names in `Trial`.

    What was written is what the base branch has got since the contracts were there. Seconds of parallel tasks add up, in
    `agent_seconds` and in `overhead`. Where several write in one attempt, its clock is no sum: there is no agent time.
    """
    folder = Path(report["folder"])
    state = state_in(folder / "journal")
    start = _start(report, state)
    texts = list(_landed(repository.own, start, report["base"]["after"]))
    added = [line for before, after in texts for line in _added(before, after)]
    shared = any(task["agent"] == TOGETHER for task in report["tasks"])
    gates = [c for task in report["tasks"] for c in task["checks"] if c["name"].startswith("gate:")]
    failed = [check for task in state.all_tasks.values() for check in task.failed_checks]
    return {
        "wall_seconds": max(report["timings"]["total"], 0.001),
        "agent_seconds": None if shared else report["timings"]["agents"],
        "overhead": _overhead(report),
        "tokens": state.tokens or None,
        "cost_usd": report["cost_usd"] or None,
        "lines": len(added),
        "characters": sum(map(len, added)),
        "gates_run": len(gates),
        "gates_passed": sum(gate["passed"] for gate in gates),
        **_syntax(repository.own, start, report["base"]["after"]),
        "conflicts": dict(report["conflicts"]["by_type"]),
        "merge_conflicts": sum(check.result.name == "merge" for check in failed),
        "rework": sum(max(0, task.generation - 1) for task in state.all_tasks.values()),
        "interventions": _answers(folder, state),
    }


def written(report: Report, repository: Repository) -> dict[str, str]:
    """Return the text of each file that a run has changed, by path; what is gone, or is no text, is left out."""
    start, end = _start(report, state_in(Path(report["folder"]) / "journal")), report["base"]["after"]
    texts = {
        change.path: _text(repository.own, end, change.path)
        for change in query.changed_paths(repository.own, start, end)
    }
    return {path: text for path, text in texts.items() if text}


def why_failed(report: Report, mode: str) -> str:
    """Return why a run is no trial of its mode, in a sentence; empty if everything landed."""
    if report["mode"] != mode:
        return f"nothing landed in mode {mode}, and the plan's fallback was used"
    if report["status"] == "landed":
        return ""
    open_tasks = [task for task in report["tasks"] if task["status"] != "landed"]
    reason = next((task["reason"] for task in open_tasks if task["status"] == "failed" and task["reason"]), None)
    why = report["stopped"] or reason or "they were cut off"
    return f"{len(open_tasks)} of {len(report['tasks'])} tasks did not land: {' '.join(why.split())}"[:500]


def _start(report: Report, state: RunState) -> str:
    """Return the commit on which the tasks began."""
    return state.contracts.commit if state.contracts and state.contracts.commit else report["base"]["before"]


def _overhead(report: Report) -> dict[str, float]:
    """Return the seconds by phase in which no agent worked; landing is without the checks and gates that are part of it."""
    timings = report["timings"]
    merged = sum(c["seconds"] for task in report["tasks"] for c in task["checks"] if c["stage"] == "landing")
    return {
        "contracts": timings["contracts"],
        "checks": timings["checks"],
        "gates": timings["gates"],
        "landing": round(max(0.0, timings["landing"] - merged), 3),
    }


def _landed(git: Git, start: str, end: str) -> Iterator[tuple[str, str]]:
    """Yield the text of each changed file before and after; a file that is no text has none."""
    for change in query.changed_paths(git, start, end):
        yield _text(git, start, change.path), _text(git, end, change.path)


def _text(git: Git, commit: str, path: str) -> str:
    try:
        return (query.read_file(git, commit, path) or b"").decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _added(before: str, after: str) -> Iterable[str]:
    """Return the lines of a text that another one has not at their place."""
    a, b = before.splitlines(keepends=True), after.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return [
        line for tag, _, _, low, high in matcher.get_opcodes() if tag in {"insert", "replace"} for line in b[low:high]
    ]


def _syntax(git: Git, start: str, end: str) -> dict[str, Any]:
    """Return the errors of syntax in what was changed, and whether all of it parses; nothing if no language of it is known."""
    paths = [change.path for change in query.changed_paths(git, start, end) if language_of(change.path)]
    contents = {path: content for path in paths if (content := query.read_file(git, end, path)) is not None}
    if not contents:
        return {}
    errors = sum(error_nodes(path, content.decode("utf-8", "replace")) for path, content in contents.items())
    return {"syntax_errors": errors, "parses": not errors}


def _answers(folder: Path, state: RunState) -> int:
    """Return how often a person had to step in: questions that were answered, and tasks that were cancelled."""
    cancelled = sum(task.unwanted for task in state.all_tasks.values())
    try:
        questions = take(read_board(folder / "board.log")).questions
    except (BoardError, OSError):
        return cancelled
    return cancelled + sum(each.to == PERSON and each.answer is not None for each in questions)

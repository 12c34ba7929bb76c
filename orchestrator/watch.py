"""What people see of a run while it goes on: the document `run` of the board, kept in step with what happens.

`contracts/board.md` says what stands in it. It is in no log: whoever shows a run makes it from the journal.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from orchestrator.board.document import Append, Put, Remove
from orchestrator.model.sentences import sentence_for
from orchestrator.model.state import TaskStatus
from orchestrator.model.text import clean_text
from orchestrator.report import conflicts_of, ordered_overlaps

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.board.document import Change
    from orchestrator.model.events import Event
    from orchestrator.model.plan import Plan, Task
    from orchestrator.model.state import RunState, TaskState
    from orchestrator.model.train_values import Train

__all__ = ["TOPIC", "Watch"]

TOPIC = "run"
_NOW, _TASKS, _SAID = "now", "tasks", "said"
_SAID_KEPT = 200  # sentences; the journal has all
_AT_ONCE = 0.1  # seconds: what happens within them is shown together
_WORDS = 1000  # characters of a reason


class Watch:
    """Shows one run: `tell` is called with each event, `changes` returns what is to be shown since it was called last."""

    def __init__(self, show: Callable[..., None]) -> None:
        self.train: Callable[[], Train | None] = lambda: None
        self._show = show
        self._plan: Plan | None = None
        self._prevented = 0
        self._shown: dict[str, str] = {}
        self._said: list[str] = []
        self._state: RunState | None = None
        self._news = asyncio.Event()

    def begin(self, plan: Plan, state: RunState) -> None:
        """Show a run of this plan from now on, or go on with an edited plan."""
        self._plan, self._state, self._prevented = plan, state, ordered_overlaps(plan)
        self._news.set()

    def tell(self, event: Event, state: RunState, at: float | None = None) -> None:
        """Take note of an event, and of the state after it."""
        self._state = state
        if text := sentence_for(event):
            entry = {"at": at if at is not None else time.time(), "task": getattr(event, "task", None), "text": text}
            self._said.append(_dump({**entry, "kind": event.kind}))
        self._news.set()

    async def keep_showing(self) -> None:
        """Show what happens, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            began = time.monotonic()
            self.show()
            await asyncio.sleep(max(_AT_ONCE, 4 * (time.monotonic() - began)))  # a thousand tasks take a while

    def show(self) -> None:
        """Show all that is not shown yet."""
        if self._plan is None or self._state is None:
            return
        now = {key: _dump(value) for key, value in self._values(self._plan, self._state)}
        changes: list[Change] = []
        for key, text in now.items():
            if self._shown.get(key) != text:
                map_name, _, name = key.partition(":")
                changes.append(Put(map=map_name, key=name, value=text))
        for key in self._shown.keys() - now.keys():
            map_name, _, name = key.partition(":")
            changes.append(Remove(map=map_name, key=name))
        changes += [Append(array=_SAID, value=text, keep=_SAID_KEPT) for text in self._said[-2 * _SAID_KEPT :]]
        self._shown, self._said = now, []
        if changes:
            self._show(TOPIC, *changes)

    def _values(self, plan: Plan, state: RunState) -> list[tuple[str, dict[str, Any]]]:
        values = [(f"{_NOW}:{_NOW}", _now(plan, state, self.train(), self._prevented))]
        values += [
            (f"{_TASKS}:{task.id}", _task(plan, task, now)) for task in plan.tasks if (now := state.tasks.get(task.id))
        ]
        return values


def _now(plan: Plan, state: RunState, train: Train | None, prevented: int) -> dict[str, Any]:
    started, ended = state.started, state.ended
    return {
        "run": started.run if started else "",
        "plan": plan.name,
        "base": started.base if started else "",
        "commit": state.base_commit,
        "jobs": state.jobs,
        "state": ended.status if ended else "stopping" if state.stopping else "paused" if state.paused else "running",
        "why": clean_text(state.stopping, _WORDS),
        "cost_usd": round(state.cost_usd, 4),
        "counts": dict(Counter(task.status.value for task in state.tasks.values())),
        "train": _train(train) if train and not ended else None,
        "health": _health(plan, state, prevented),
    }


def _train(train: Train) -> dict[str, Any]:
    candidates = {key.task: candidate for key, candidate in train.candidates.items()}
    items = [
        {
            "task": item.task,
            "generation": item.generation,
            "state": candidates[item.task].status.value if item.task in candidates else "waiting",
            "onto": [key.task for key in candidates[item.task].chain] if item.task in candidates else [],
        }
        for item in train.line
    ]
    return {"window": train.window, "items": items[:100], "more": max(len(items) - 100, 0)}


def _health(plan: Plan, state: RunState, prevented: int) -> dict[str, Any]:
    generations = sum(task.generation for task in state.tasks.values())
    refused = sum(task.attempts for task in state.tasks.values())
    tracks: dict[str, Counter[str]] = {}
    for task in plan.tasks:
        if task.track and (now := state.tasks.get(task.id)):
            tracks.setdefault(task.track, Counter()).update({"tasks": 1, now.status.value: 1, "refused": now.attempts})
    return {
        "conflicts": conflicts_of(plan, state, prevented),
        "generations": generations,
        "refused": refused,
        "rework": round(refused / generations, 3) if generations else 0.0,
        "tracks": {name: dict(counts) for name, counts in tracks.items()},
    }


def _task(plan: Plan, task: Task, state: TaskState) -> dict[str, Any]:
    attempt = state.attempt if state.attempt and state.attempt.generation == state.generation else None
    refusal = state.refusals[-1] if state.refusals and state.status is not TaskStatus.LANDED else None
    return {
        "title": clean_text(task.title),
        "track": task.track,
        "needs": list(task.needs),
        "status": state.status.value,
        "generation": state.generation,
        "attempts": task.attempts,
        "refused": state.attempts,
        "agent": task.agent,
        "model": attempt.model if attempt else plan.agent_of(task).model,
        "reason": clean_text(state.reason or (refusal.reason if refusal else ""), _WORDS),
        "seconds": round(state.seconds + state.landing_seconds, 1),
        "cost_usd": round(state.cost_usd, 4),
        "commit": state.landed,
        "branch": state.kept.branch if state.kept else None,
        "transcript": state.attempt is not None,
        "todos": [{"id": todo.id, "title": clean_text(todo.title)} for todo in task.todos],
        "checks": [{"name": c.result.name, "passed": c.result.passed, "stage": c.stage} for c in state.checks[-20:]],
    }


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace").decode()

"""Guards of an agent's inner loop, the same for every kind of agent that decides its own next step. Pure.

`watch` is told of each event and says when to intervene: the same call again and again, standing still, errors in a row.
`against_ending` says what is missing when an agent calls itself done. Silence is a matter of time, and is guarded where the
agent's process or connection is; so are the limits of the plan.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.model.agent_events import Advised, AgentEvent, Called, Returned, Turned

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ERRORS", "IDLE", "SAME", "Guard", "against_ending", "watch"]

SAME = 3
"""Times in a row that one call may be made without an effect before the agent is told; the next one stops it."""
ERRORS = 3
"""Calls in a row that may fail before the agent is told; as many again stop it."""
IDLE = 30
"""Turns in a row without an effect before the agent is told; as many again stop it."""


class _Call(NamedTuple):
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What is known of the events so far.

    `told` are the troubles that the agent knows of, `fresh` those that it is told of at the end of this turn: calls that it made
    side by side are not held against it before it has heard of the first.
    """

    open_calls: tuple[tuple[str, _Call], ...] = ()
    last: _Call | None = None
    same: int = 0
    errors: int = 0
    idle: int = 0
    told: frozenset[str] = frozenset()
    fresh: frozenset[str] = frozenset()
    asked: bool = False


def watch(guard: Guard, event: AgentEvent) -> tuple[Guard, Advised | None]:
    """Return what is known after an event, and what to do about it, if anything.

    A trouble that goes on after the agent was told of it stops the attempt. An effect forgives repetition and standing still, a
    call that works forgives errors.
    """
    match event:
        case Turned():
            return _turned(guard)
        case Called(call=name, tool=tool, arguments=arguments):
            call = _Call(tool, json.dumps(arguments, sort_keys=True, default=str))
            return replace(guard, open_calls=(*guard.open_calls, (name, call))), None
        case Returned():
            return _returned(guard, event)
    return guard, None


def _turned(guard: Guard) -> tuple[Guard, Advised | None]:
    now = replace(guard, idle=guard.idle + 1, told=guard.told | guard.fresh, fresh=frozenset())
    if now.idle <= IDLE * (2 if "idle" in now.told else 1):
        return now, None
    return _trouble(
        now, "idle",
        f"You have looked around for {IDLE} turns and changed nothing. Write what you know, or say what keeps you.",
        f"it changed nothing in {2 * IDLE} turns",
    )  # fmt: skip


def _returned(guard: Guard, event: Returned) -> tuple[Guard, Advised | None]:
    call = dict(guard.open_calls).get(event.call)
    left = tuple(one for one in guard.open_calls if one[0] != event.call)
    same = guard.same + 1 if call is not None and call == guard.last else 1
    now = replace(guard, open_calls=left, last=call, same=same, errors=guard.errors + 1 if event.failed else 0)
    if not event.failed:
        now = _forgiven(now, "errors")
    if event.effect:
        return _forgiven(replace(now, same=0, idle=0), "same", "idle"), None
    if call is not None and call != guard.last:
        now = _forgiven(now, "same")
    tool = call.tool if call else "a tool"
    if now.same >= SAME:
        return _trouble(
            now, "same",
            f"You have called {tool} with the same arguments {now.same} times in a row. Its answer will not change: do something "
            "else.",
            f"it called {tool} with the same arguments {now.same} times in a row",
        )  # fmt: skip
    if now.errors >= ERRORS * (2 if "errors" in now.told else 1):
        return _trouble(
            now, "errors",
            f"Your last {now.errors} calls have failed. Read what they answered, and try another way.",
            f"its last {now.errors} calls failed, the last one of {tool}: {event.text[:300]}",
        )  # fmt: skip
    return now, None


def _forgiven(guard: Guard, *kinds: str) -> Guard:
    return replace(guard, told=guard.told.difference(kinds), fresh=guard.fresh.difference(kinds))


def _trouble(guard: Guard, kind: str, hint: str, reason: str) -> tuple[Guard, Advised | None]:
    if kind in guard.told:
        return guard, Advised(text=reason, stop=True)
    if kind in guard.fresh:
        return guard, None
    return replace(guard, fresh=guard.fresh | {kind}), Advised(text=hint)


def against_ending(guard: Guard, *, changed: bool, open_todos: Sequence[str]) -> tuple[Guard, Advised | None]:
    """Return what to do about an agent that says that it is done: nothing, ask it once, or, after that, call it failed.

    Args:
        guard: what is known so far.
        changed: whether it has changed any file, or has none to change.
        open_todos: the TODOs of its task that are not done.
    """
    if changed and not open_todos:
        return guard, None
    names = ", ".join(open_todos)
    if guard.asked:
        lack = f"these TODOs are open: {names}" if open_todos else "it changed no file"
        return guard, Advised(text=f"it said that it was done, but {lack}", stop=True)
    ask = (
        f"You say that you are done, but these TODOs are open: {names}. Finish each, claim it and say so with todo_done; or say "
        "what keeps you from it."
        if open_todos
        else "You say that you are done, but no file was changed. Do the task, or say what keeps you from it."
    )
    return replace(guard, asked=True), Advised(text=ask)

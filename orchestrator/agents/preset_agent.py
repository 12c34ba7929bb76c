"""The preset agent: a known coding program, told of its boundary and the board, and understood while it works."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.agents.command import reason_of, run_in_worktree, status_of
from orchestrator.agents.ending import Over
from orchestrator.agents.filling import arguments, as_text, fill, names_in
from orchestrator.agents.json_events import JsonEvents
from orchestrator.agents.native_scope import words_of
from orchestrator.agents.spending import Spending
from orchestrator.agents.watched import Watched
from orchestrator.confine.level import Level
from orchestrator.errors import ProcessError
from orchestrator.model.agent_events import Turned, Used
from orchestrator.model.budget import limit_passed
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.processes.process import Ending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from orchestrator.agents.base import Assignment
    from orchestrator.agents.filling import Values
    from orchestrator.agents.preset import Preset
    from orchestrator.agents.troubles import Trouble
    from orchestrator.model.agent_events import AgentEvent
    from orchestrator.processes.process import Exit

__all__ = ["PresetAgent", "has_changed_what_it_may"]

_KEPT = 16  # of the last chunks, for the reason of a failure
_TRIES = 8  # of one prompt, in all, while the provider says that it cannot
_GO_ON = "Your provider took no requests for a while; now it does. Go on where you were."


class PresetAgent:
    """Runs the program of a preset.

    It works in a home of its own, which is thrown away. If it ends with TODOs open, or with no file changed, it is asked once
    more in the same session, as far as the program has sessions. If it ends because of its provider, that is for all with
    the same credential, and no attempt is counted.
    """

    def __init__(self, name: str, preset: Preset, model: str | None) -> None:
        self._preset = preset
        self._model = model or preset.model
        self.model = self._model or f"{name}@unknown"
        self.credential = _credential(name, preset, self._model)

    async def work(self, assignment: Assignment) -> Outcome:
        """Run the program until its task is done, it gives up, or a limit is reached."""
        if why := assignment.governor.barred(self.credential):
            return Outcome(status=OutcomeStatus.FAILED, reason=why, final=True)
        this = _Attempt(preset=self._preset, model=self._model, assignment=assignment, credential=self.credential)
        if not self._preset.board:  # it cannot claim, so we do it in its place
            for todo in assignment.task.todos:
                await assignment.desk.claim(todo.id)
        outcome = await this.work()
        unpriced = (f"nobody knows the price of {model}, so its cost is not counted" for model in this.unpriced)
        return replace(
            outcome,
            seconds=this.seconds,
            cost_usd=this.usd,
            tokens=this.tokens,
            turns=max(this.turns, 1),
            remarks=tuple(unpriced),
        )


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One attempt, and what all runs of its program have used; `session` is what the program calls its conversation."""

    preset: Preset
    model: str | None
    assignment: Assignment
    credential: str
    usd: float = 0.0
    tokens: int = 0
    turns: int = 0
    session: str | None = None
    watched: Watched = field(init=False)
    unpriced: dict[str, None] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.watched = Watched(self.assignment.transcript, can_be_told=bool(self.preset.resume))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    async def work(self) -> Outcome:
        """Run the program, and once more if it ends too early."""
        preset, desk = self.preset, self.assignment.desk
        outcome = await self._ask(preset.argv, self.assignment.briefing)
        while outcome.done:
            if (hint := self.watched.take_hint()) and self.session:  # it was interrupted for that
                outcome = await self._ask(preset.resume, hint)
                continue
            if not preset.board:
                for todo in self.assignment.task.todos:
                    await desk.done(todo.id)
            changed = await has_changed_what_it_may(self.assignment)
            advice = self.watched.may_end(changed=changed, open_todos=desk.open_todos())
            if advice is None:
                break
            if advice.stop:
                return replace(outcome, status=OutcomeStatus.FAILED, reason=advice.text)
            if preset.resume and self.session:
                self.assignment.transcript.tell(advice)
                outcome = await self._ask(preset.resume, advice.text)
            # what cannot be asked is called failed the second time round
        return outcome

    async def _ask(self, argv: tuple[object, ...], prompt: str) -> Outcome:
        """Run the program, and again in the same session as long as its provider keeps it waiting for a short while."""
        governor, resume, limits = self.assignment.governor, self.preset.resume, self.assignment.task.limits
        for left in reversed(range(_TRIES)):
            try:
                await governor.wait(self.credential, self.assignment.stop)
            except Over as over:
                return over.outcome
            heard = JsonEvents(self.preset.events, self.model or "unknown")
            outcome = await self._run(argv, prompt, heard)
            trouble = await self._trouble(outcome, heard)
            if trouble is None:
                break
            can_wait = limits.wall - self.seconds if left and resume and self.session else 0.0
            ended = await governor.sit_out(
                self.credential, trouble, left=can_wait, stop=self.assignment.stop, tell=self.assignment.transcript.tell
            )
            if ended is not None:
                return replace(ended, summary=outcome.summary)
            argv, prompt = resume, _GO_ON
        return outcome

    async def _trouble(self, outcome: Outcome, heard: JsonEvents) -> Trouble | None:
        """Return what is wrong with the provider, if that is why the program has ended.

        It is looked for in what the program says that went wrong, and never in what the model says. A program that tells nothing
        in events may exit with 0 for all that; then it has changed nothing.
        """
        unfinished = outcome.status is OutcomeStatus.FAILED or (
            outcome.done and not self.preset.events and not await has_changed_what_it_may(self.assignment)
        )
        if not unfinished or self._over():
            return None
        return self.preset.troubles.find(heard.failure or "\n".join(heard.other), heard.reset, time.time())

    async def _run(self, argv: tuple[object, ...], prompt: str, heard: JsonEvents) -> Outcome:
        limits, before = self.assignment.task.limits, self.turns
        last: deque[bytes] = deque(maxlen=_KEPT)
        async with _stoppable(self.assignment) as own:

            def hear(chunk: bytes) -> None:
                last.append(chunk)
                for event in heard.feed(chunk):
                    self.watched.tell(self._counted(event))
                if self._over() or self.watched.why or self._can_be_told(heard):
                    own.stop.set()

            try:
                values = self._values(prompt)
                await asyncio.to_thread(self._write_files, prompt, values)
                told = b"" if {"prompt", "prompt_file"} & set(names_in(argv)) else prompt.encode()
                ended = await run_in_worktree(
                    own, arguments(argv, values), wall=max(limits.wall - self.seconds, 0.0), stall=limits.stall,
                    stdin=told, on_output=hear, extra={**fill(self.preset.env, values), **self._keys(), "HOME": self._home},
                )  # fmt: skip
            except ProcessError as error:
                return Outcome(status=OutcomeStatus.FAILED, reason=error.message, final=True)
            hear(b"\n")  # the last line may lack its end
        self.turns = max(self.turns, before + 1)
        self.session = heard.session or self.session
        if why := self._over() or self.watched.why:
            return Outcome(status=OutcomeStatus.FAILED, reason=why, summary=heard.summary)
        if ended.ending is Ending.STOPPED and self._can_be_told(heard) and not self.assignment.stop.is_set():
            return Outcome(status=OutcomeStatus.DONE, summary=heard.summary)  # so far: it is told something now
        return _outcome(ended, self.assignment, heard, b"".join(last))

    def _can_be_told(self, heard: JsonEvents) -> bool:
        """Tell whether there is a hint for it, and a session in which it can go on with that."""
        return self.watched.has_hint and bool(heard.session or self.session)

    def _counted(self, event: AgentEvent) -> AgentEvent:
        """Count what an event tells of, and return it with its number, or its price."""
        if isinstance(event, Turned):
            self.turns += 1
            return Turned(number=self.turns)
        if not isinstance(event, Used):
            return event
        provider, _, model = event.model.rpartition("/")
        provider = provider or self.preset.provider or ""
        if event.usd is None and provider:
            fresh = event.input_tokens - event.cached_tokens
            usd = Spending(provider=provider).add(
                model, fresh=fresh, cache_read=event.cached_tokens, cache_write=0, output=event.output_tokens
            )
            event = replace(event, usd=usd)
        if event.usd is None:
            self.unpriced[event.model] = None
        self.usd += event.usd or 0.0
        self.tokens += event.input_tokens + event.output_tokens
        return event

    def _over(self) -> str:
        """Return which limit is passed, if one is."""
        return limit_passed(self.assignment.task.limits, usd=self.usd, tokens=self.tokens, turns=self.turns)

    @property
    def _home(self) -> str:
        return str(self.assignment.confinement.scratch / "home")

    def _keys(self) -> dict[str, str]:
        return {name: os.environ[name] for name in self.preset.keys if os.environ.get(name)}

    def _values(self, prompt: str) -> Values:
        assignment = self.assignment
        limits, confinement = assignment.task.limits, assignment.confinement
        known = {
            "program": shutil.which(self.preset.program) or self.preset.program,
            "worktree": str(assignment.folder),
            "worktree_regex": re.escape(str(assignment.folder)),
            "home": self._home,
            "tmp": str(confinement.scratch / "tmp"),
            "prompt": prompt,
            "prompt_file": str(confinement.scratch / "prompt.md"),
            "model": self.model,
            "model_name": self.model and self.model.rpartition("/")[2],
            "cost_usd": None if limits.cost_usd is None else f"{max(limits.cost_usd - self.usd, 0):.6f}",
            "turns": None if limits.turns is None else str(max(limits.turns - self.turns, 0)),
            "board_url": assignment.access.get("ORCH_MCP_URL"),
            "board_token": assignment.access.get("ORCH_TOKEN"),
            "session": self.session,
            "confined": None if confinement.level is Level.AUDIT else confinement.level.value,
            **self._keys(),
        }
        return {**{name: one for name, one in known.items() if one is not None}, **words_of(assignment.boundary)}

    def _write_files(self, prompt: str, values: Values) -> None:
        scratch = self.assignment.confinement.scratch
        (scratch / "prompt.md").write_text(prompt)
        for name, content in self.preset.files.items():
            place = scratch / "home" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            (filled,) = fill([content], values) or [""]
            place.write_text(as_text(name, filled))


def _credential(name: str, preset: Preset, model: str | None) -> str:
    """Return whose quota a program uses: its provider's, if its key is in the variable of that name, else one of its own."""
    provider = (model or "").rpartition("/")[0] or preset.provider or ""
    key = f"{provider.upper()}_API_KEY"
    return provider if key in preset.keys and os.environ.get(key) else name


async def has_changed_what_it_may(assignment: Assignment) -> bool:
    """Tell whether the agent has changed a file, or has none to change."""
    return not assignment.boundary.scope.patterns or await assignment.changed()


@asynccontextmanager
async def _stoppable(assignment: Assignment) -> AsyncIterator[Assignment]:
    """Give the same assignment with a `stop` of its own, which is set with the outer one, too."""
    stop = asyncio.Event()

    async def relay() -> None:
        await assignment.stop.wait()
        stop.set()

    relaying = asyncio.create_task(relay())
    try:
        yield replace(assignment, stop=stop)
    finally:
        relaying.cancel()


def _outcome(ended: Exit, assignment: Assignment, heard: JsonEvents, last: bytes) -> Outcome:
    """Return what the end of a program means for its attempt."""
    if ended.ending is not Ending.EXITED:
        reason = reason_of(ended.ending, ended.code, assignment, last)
    elif heard.failure:
        reason = f"it failed: {heard.failure[:2000]}"
    elif ended.code:
        reason = reason_of(ended.ending, ended.code, assignment, last)
    else:
        return Outcome(status=OutcomeStatus.DONE, summary=heard.summary)
    return Outcome(status=status_of(ended.ending), reason=reason, summary=heard.summary)

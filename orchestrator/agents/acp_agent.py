"""The ACP agent: any program that speaks the Agent Client Protocol on its standard input and output."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator import __version__
from orchestrator.agents.conversation import PATIENCE, STOPPED, against_path, converse
from orchestrator.agents.preset import trouble_in
from orchestrator.agents.preset_agent import has_changed_what_it_may
from orchestrator.agents.watched import Watched
from orchestrator.confine.level import Level
from orchestrator.model.agent_events import Turned
from orchestrator.model.budget import limit_passed
from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acp import RequestError
    from acp.client.connection import ClientSideConnection

    from orchestrator.agents.acp_client import AcpClient
    from orchestrator.agents.base import Assignment

__all__ = ["AcpAgent"]

_TRIES = 8  # of a prompt, in all, while the provider says that it cannot
_REFUSED_TURNS = 3  # turns that may end with a refusal
_KEYED = ("gemini-api-key",)  # ways to log in that need a variable of the environment and nobody at the keyboard


class AcpAgent:
    """Starts the program, opens a session in the worktree, and prompts it until the task is done or a limit is reached."""

    def __init__(self, command: str | Sequence[str], model: str | None, mode: str | None) -> None:
        self._command = command
        self._mode = mode
        words = shlex.split(command) if isinstance(command, str) else list(command)
        self.model = model or f"{Path(words[0]).name}@unknown"
        self.credential = command if isinstance(command, str) else Path(words[0]).name  # a text may begin with `cd`

    async def work(self, assignment: Assignment) -> Outcome:
        """Carry on one conversation; the program's group is ended with it."""
        if why := assignment.governor.barred(self.credential):
            return Outcome(status=OutcomeStatus.FAILED, reason=why, final=True)
        await asyncio.to_thread(_load)
        started = time.monotonic()
        outcome = await converse(
            assignment, self._command, lambda heard, writer: self._carry_on(assignment, writer, heard)
        )
        return replace(outcome, seconds=time.monotonic() - started)

    async def _carry_on(
        self, assignment: Assignment, writer: asyncio.StreamWriter, heard: asyncio.StreamReader
    ) -> Outcome:
        """Talk to the agent until its attempt is over."""
        from acp.client.connection import ClientSideConnection

        from orchestrator.agents.acp_client import AcpClient

        watched = Watched(assignment.transcript, can_be_told=True)
        client = AcpClient(
            folder=assignment.folder, may_write=assignment.desk.against_writing, tell=watched.tell,
            against_path=lambda path: against_path(assignment, path), shell=assignment.confinement.level is not Level.AUDIT,
        )  # fmt: skip
        agent = ClientSideConnection(cast("Any", client), writer, heard)
        try:
            talk = _Talk(
                assignment=assignment,
                agent=agent,
                client=client,
                watched=watched,
                model=self.model,
                credential=self.credential,
            )
            outcome = await talk.begin(self._mode) or await talk.work()
            silent = assignment.task.limits.cost_usd is not None and not client.cost_usd
            remarks = ("it does not tell what it costs, so the limit of cost_usd could not be kept",) if silent else ()
            return replace(
                outcome, cost_usd=client.cost_usd, tokens=client.tokens, turns=max(client.turns, 1), remarks=remarks
            )
        finally:
            await agent.close()


@dataclass(slots=True, kw_only=True)
class _Talk:
    """One session; all its prompts."""

    assignment: Assignment
    agent: ClientSideConnection
    client: AcpClient
    watched: Watched
    model: str
    credential: str
    session: str = ""
    troubles: int = 0
    started: float = field(default_factory=time.monotonic)
    prompts: int = 0

    async def begin(self, mode: str | None) -> Outcome | None:
        """Open a session; return how the attempt ends if there is none."""
        from acp import RequestError

        try:
            await self.open(mode)
        except RequestError as error:
            return await self.blame(error, can_wait=False)
        return None

    async def open(self, mode: str | None) -> None:
        """Greet the agent, and open a session with the board's tools."""
        from acp import PROTOCOL_VERSION
        from acp.schema import ClientCapabilities, FileSystemCapabilities, HttpHeader, HttpMcpServer, Implementation

        # Agents that may ask us to read take our answers for all there is, and cannot tell a missing file from a fault.
        files = FileSystemCapabilities(read_text_file=False, write_text_file=True)
        greeted = await self.agent.initialize(
            protocol_version=PROTOCOL_VERSION, client_info=Implementation(name="orch", version=__version__),
            client_capabilities=ClientCapabilities(fs=files, terminal=False),
        )  # fmt: skip
        for method in greeted.auth_methods or ():
            if getattr(method, "id", None) in _KEYED:
                await self.agent.authenticate(method_id=method.id)
        access = self.assignment.access
        board = []
        if "ORCH_MCP_URL" in access:
            bearer = HttpHeader(name="Authorization", value=f"Bearer {access['ORCH_TOKEN']}")
            board = [HttpMcpServer(type="http", name="board", url=access["ORCH_MCP_URL"], headers=[bearer])]
        opened = await self.agent.new_session(cwd=str(self.assignment.folder), mcp_servers=list(board))
        self.session = opened.session_id
        if mode is not None:
            await self.agent.set_session_mode(session_id=self.session, mode_id=mode)

    async def work(self) -> Outcome:
        """Prompt the agent until it is done."""
        from acp import RequestError

        desk, refused_turns = self.assignment.desk, 0
        prompt, summary = self.assignment.briefing, ""
        while True:
            try:
                reason = await self._prompt(prompt)
            except RequestError as error:
                if (ended := await self.blame(error, can_wait=True)) is not None:
                    return ended
                prompt = prompt if self.client.turns == 0 else _WAITED
                continue
            stuck, self.client.stuck = self.client.stuck, False
            summary = self.client.take_words() or summary
            if over := self._over(reason, summary):
                return over
            if hint := self.watched.take_hint():  # its turn was ended for that
                prompt = hint
                continue
            if reason in ("cancelled", "refusal") or stuck:
                refused_turns += 1
                if refused_turns > _REFUSED_TURNS:
                    why = f"it ended {refused_turns} turns because something was refused"
                    return Outcome(status=OutcomeStatus.FAILED, reason=why, summary=summary)
                prompt = _GO_ON
                continue
            changed = await has_changed_what_it_may(self.assignment)
            advice = self.watched.may_end(changed=changed, open_todos=desk.open_todos())
            if advice is None:
                return Outcome(status=OutcomeStatus.DONE, summary=summary)
            if advice.stop:
                return Outcome(status=OutcomeStatus.FAILED, reason=advice.text, summary=summary)
            self.assignment.transcript.tell(advice)
            prompt = advice.text

    async def blame(self, error: RequestError, *, can_wait: bool) -> Outcome | None:
        """Return how the attempt ends with what the agent cannot do; None if it can now, after a wait for its provider."""
        said = f"{error} {error.data or ''}"
        trouble = trouble_in(said, time.time())
        if trouble is None:
            return Outcome(status=OutcomeStatus.FAILED, reason=f"the conversation with it failed: {said.strip()}")
        self.troubles += 1
        left = self.assignment.task.limits.wall - (time.monotonic() - self.started)
        return await self.assignment.governor.sit_out(
            self.credential, trouble, left=left if can_wait and self.troubles < _TRIES else 0.0, stop=self.assignment.stop,
            tell=self.assignment.transcript.tell,
        )  # fmt: skip

    def _over(self, reason: str, summary: str) -> Outcome | None:
        if self.assignment.stop.is_set():
            return replace(STOPPED, summary=summary)
        why = self._passed() or self.watched.why
        if not why and reason in ("max_tokens", "max_turn_requests"):
            why = f"it ended its turn with {reason}"
        return Outcome(status=OutcomeStatus.FAILED, reason=why, summary=summary) if why else None

    def _passed(self) -> str:
        client = self.client
        return limit_passed(self.assignment.task.limits, usd=client.cost_usd, tokens=client.tokens, turns=client.turns)

    async def _prompt(self, text: str) -> str:
        """Let the agent have one turn; it is told to end it when the attempt is to stop, or a limit is reached."""
        from acp import text_block

        self.prompts += 1
        self.watched.tell(Turned(number=self.prompts))
        turn = asyncio.create_task(self.agent.prompt(session_id=self.session, prompt=[text_block(text)]))
        watch = asyncio.create_task(self._until_it_must_end())
        try:
            await asyncio.wait({turn, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                await self.agent.cancel(session_id=self.session)
                await asyncio.wait({turn}, timeout=PATIENCE)
            if not turn.done():
                return "cancelled"
            self.client.take_usage(turn.result().usage, self.model)
            return turn.result().stop_reason
        finally:
            for task in (turn, watch):
                task.cancel()
            await asyncio.gather(turn, watch, return_exceptions=True)

    async def _until_it_must_end(self) -> None:
        stopped = asyncio.create_task(self.assignment.stop.wait())
        try:
            while not (stopped.done() or self._passed() or self.watched.has_hint or self.watched.why):
                self.client.heard.clear()
                heard = asyncio.create_task(self.client.heard.wait())
                await asyncio.wait({stopped, heard}, return_when=asyncio.FIRST_COMPLETED)
                heard.cancel()
        finally:
            stopped.cancel()


_WAITED = "Your provider took no requests for a while; now it does. Go on where you were."
_GO_ON = """\
Something that you wanted to do was refused, since it is outside your scope. Go on with your task without it; if it cannot be
done otherwise, ask with the board's scope_request first."""


def _load() -> None:
    """Load the library, which takes seconds."""
    import orchestrator.agents.acp_client  # noqa: F401

"""The ACP agent: any program that speaks the Agent Client Protocol on its standard input and output."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator import __version__
from orchestrator.agents.conversation import PATIENCE, STOPPED, against_path, converse
from orchestrator.agents.preset_agent import has_changed_what_it_may
from orchestrator.confine.level import Level
from orchestrator.model.agent_events import Turned
from orchestrator.model.guards import Guard, against_ending
from orchestrator.model.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from acp.client.connection import ClientSideConnection

    from orchestrator.agents.acp_client import AcpClient
    from orchestrator.agents.base import Assignment

__all__ = ["AcpAgent"]

_REFUSED_TURNS = 3  # turns that may end with a refusal
_KEYED = ("gemini-api-key",)  # ways to log in that need a variable of the environment and nobody at the keyboard


class AcpAgent:
    """Starts the program, opens a session in the worktree, and prompts it until the task is done or a limit is reached."""

    def __init__(self, command: str | Sequence[str], model: str | None, mode: str | None) -> None:
        self._command = command
        self._mode = mode
        words = shlex.split(command) if isinstance(command, str) else list(command)
        self.model = model or f"{Path(words[0]).name}@unknown"
        self.credential = Path(words[0]).name

    async def work(self, assignment: Assignment) -> Outcome:
        """Carry on one conversation; the program's group is ended with it."""
        await asyncio.to_thread(_load)
        started = time.monotonic()
        outcome = await converse(
            assignment, self._command, lambda heard, writer: _Talk.carry_on(assignment, writer, heard, self._mode)
        )
        return replace(outcome, seconds=time.monotonic() - started)


@dataclass(slots=True, kw_only=True)
class _Talk:
    """One session; all its prompts."""

    assignment: Assignment
    agent: ClientSideConnection
    client: AcpClient
    session: str = ""
    prompts: int = 0

    @classmethod
    async def carry_on(
        cls, assignment: Assignment, writer: asyncio.StreamWriter, heard: asyncio.StreamReader, mode: str | None
    ) -> Outcome:
        """Talk to the agent until its attempt is over."""
        from acp.client.connection import ClientSideConnection

        from orchestrator.agents.acp_client import AcpClient

        client = AcpClient(
            folder=assignment.folder, may_write=assignment.desk.against_writing, tell=assignment.transcript.tell,
            against_path=lambda path: against_path(assignment, path), shell=assignment.confinement.level is not Level.AUDIT,
        )  # fmt: skip
        agent = ClientSideConnection(cast("Any", client), writer, heard)
        try:
            talk = cls(assignment=assignment, agent=agent, client=client)
            await talk.open(mode)
            outcome = await talk.work()
            silent = assignment.task.limits.cost_usd is not None and not client.cost_usd
            remarks = ("it does not tell what it costs, so the limit of cost_usd could not be kept",) if silent else ()
            return replace(outcome, cost_usd=client.cost_usd, turns=max(client.turns, 1), remarks=remarks)
        finally:
            await agent.close()

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
        desk, guard, refused_turns = self.assignment.desk, Guard(), 0
        prompt, summary = self.assignment.briefing, ""
        while True:
            reason = await self._prompt(prompt)
            stuck, self.client.stuck = self.client.stuck, False
            summary = self.client.take_words() or summary
            if over := self._over(reason, summary):
                return over
            if reason in ("cancelled", "refusal") or stuck:
                refused_turns += 1
                if refused_turns > _REFUSED_TURNS:
                    why = f"it ended {refused_turns} turns because something was refused"
                    return Outcome(status=OutcomeStatus.FAILED, reason=why, summary=summary)
                prompt = _GO_ON
                continue
            changed = await has_changed_what_it_may(self.assignment)
            guard, advice = against_ending(guard, changed=changed, open_todos=desk.open_todos())
            if advice is None:
                return Outcome(status=OutcomeStatus.DONE, summary=summary)
            if advice.stop:
                return Outcome(status=OutcomeStatus.FAILED, reason=advice.text, summary=summary)
            self.assignment.transcript.tell(advice)
            prompt = advice.text

    def _over(self, reason: str, summary: str) -> Outcome | None:
        limits, client = self.assignment.task.limits, self.client
        if self.assignment.stop.is_set():
            return replace(STOPPED, summary=summary)
        why = ""
        if self._too_many():
            why = f"the limit of {limits.turns} turns is used up"
        elif self._too_dear():
            why = f"the limit of ${limits.cost_usd:g} is used up: it has cost ${client.cost_usd:.4f}"
        elif reason in ("max_tokens", "max_turn_requests"):
            why = f"it ended its turn with {reason}"
        return Outcome(status=OutcomeStatus.FAILED, reason=why, summary=summary) if why else None

    def _too_many(self) -> bool:
        limit = self.assignment.task.limits.turns
        return limit is not None and self.client.turns > limit

    def _too_dear(self) -> bool:
        limit = self.assignment.task.limits.cost_usd
        return limit is not None and self.client.cost_usd > limit

    async def _prompt(self, text: str) -> str:
        """Let the agent have one turn; it is told to end it when the attempt is to stop, or a limit is reached."""
        from acp import text_block

        self.prompts += 1
        self.assignment.transcript.tell(Turned(number=self.prompts))
        turn = asyncio.create_task(self.agent.prompt(session_id=self.session, prompt=[text_block(text)]))
        watch = asyncio.create_task(self._until_it_must_end())
        try:
            await asyncio.wait({turn, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                await self.agent.cancel(session_id=self.session)
                await asyncio.wait({turn}, timeout=PATIENCE)
            return turn.result().stop_reason if turn.done() else "cancelled"
        finally:
            for task in (turn, watch):
                task.cancel()
            await asyncio.gather(turn, watch, return_exceptions=True)

    async def _until_it_must_end(self) -> None:
        stopped = asyncio.create_task(self.assignment.stop.wait())
        try:
            while not (stopped.done() or self._too_many() or self._too_dear()):
                self.client.heard.clear()
                heard = asyncio.create_task(self.client.heard.wait())
                await asyncio.wait({stopped, heard}, return_when=asyncio.FIRST_COMPLETED)
                heard.cancel()
        finally:
            stopped.cancel()


_GO_ON = """\
Something that you wanted to do was refused, since it is outside your scope. Go on with your task without it; if it cannot be
done otherwise, ask with the board's scope_request first."""


def _load() -> None:
    """Load the library, which takes seconds."""
    import orchestrator.agents.acp_client  # noqa: F401

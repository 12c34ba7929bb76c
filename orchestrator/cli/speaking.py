"""Commands that speak to a run while it goes on: `answer`, `cancel`, `pause`, `unpause`; and `mcp` for its agents."""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 - click reads the annotation
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import open_repository, repo_option, run_folder
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.inbox import Message

__all__ = ["answer", "cancel", "mcp", "pause", "unpause"]


@click.command(short_help="Answer an agent's question.")
@click.argument("question")
@click.argument("text")
@click.option("--run", help="The run (default: the newest).")
@repo_option
def answer(*, question: str, text: str, run: str | None, repo: Path | None) -> None:
    """Answer QUESTION (such as q1) of an agent with TEXT; `orch board` shows the open ones."""
    from orchestrator.board.log import read_board
    from orchestrator.board.snapshot import take
    from orchestrator.inbox import Message

    folder = run_folder(open_repository(repo), run)
    asked = {q.id: q for q in take(read_board(folder / "board.log")).questions}
    if question not in asked:
        waiting = ", ".join(q.id for q in asked.values() if q.answer is None) or "none"
        raise UsageError(f"The run {folder.name} has no question {question}.", hint=f"Open questions: {waiting}.")
    if (known := asked[question]).answer is not None:
        raise UsageError(f"{question} was answered by {known.answered_by}: {known.answer}")
    _send(folder, Message(kind="answer", about=question, text=text), f"The answer to {question}")


@click.command(short_help="Stop one task, and keep its work.")
@click.argument("task")
@click.option("--run", help="The run (default: the newest).")
@repo_option
def cancel(*, task: str, run: str | None, repo: Path | None) -> None:
    """Cancel TASK: its attempt is stopped, and what it wrote is kept on its branch. What is landing may still land."""
    from orchestrator.inbox import Message
    from orchestrator.journal.journal import state_in

    folder = run_folder(open_repository(repo), run)
    now = state_in(folder / "journal").tasks.get(task)
    if now is None:
        raise UsageError(f"The run {folder.name} has no task {task}.")
    if now.status.final:
        raise UsageError(f"{task} is {now.status} already.")
    _send(folder, Message(kind="cancel", about=task), f"The wish to cancel {task}")


@click.command(short_help="Let no more attempts begin.")
@click.argument("run", required=False)
@repo_option
def pause(*, run: str | None, repo: Path | None) -> None:
    """Let no more attempts of RUN (default: the newest) begin; what is under way goes on."""
    from orchestrator.inbox import Message

    _send(run_folder(open_repository(repo), run), Message(kind="pause"), "The wish to pause")


@click.command(short_help="Let attempts begin again.")
@click.argument("run", required=False)
@repo_option
def unpause(*, run: str | None, repo: Path | None) -> None:
    """Let attempts of RUN (default: the newest) begin again."""
    from orchestrator.inbox import Message

    _send(run_folder(open_repository(repo), run), Message(kind="unpause"), "The wish to go on")


@click.command(short_help="Give an agent the board's tools.")
@click.option("--url", envvar="ORCH_MCP_URL", help="Where the board's MCP server is (default: $ORCH_MCP_URL).")
def mcp(*, url: str | None) -> None:
    """Give an agent the board's tools over standard input and output (MCP), for programs that cannot use HTTP.

    A run gives its agents $ORCH_MCP_URL and $ORCH_TOKEN; programs that speak MCP over HTTP use these two directly.
    """
    from orchestrator.agents.mcp_bridge import bridge

    token = os.environ.get("ORCH_TOKEN")
    if not url or not token:
        raise UsageError(
            "ORCH_MCP_URL and ORCH_TOKEN are not set.",
            hint="`orch mcp` is started by an agent that a run has started; that gives it both.",
        )
    bridge(url, token, sys.stdin.buffer, sys.stdout.buffer)


def _send(folder: Path, message: Message, what: str) -> None:
    from orchestrator.inbox import send
    from orchestrator.journal.journal import is_free, state_in

    free = is_free(folder / "journal")
    if free and state_in(folder / "journal").ended is not None and message.kind != "answer":
        raise UsageError(f"The run {folder.name} is over.")
    send(folder, message)
    when = (
        f"it is read when somebody goes on with it (orch resume {folder.name})"
        if free
        else "it is read within a second"
    )
    click.echo(f"{what} was left for the run {folder.name}: {when}.")

"""What others say to a run while it goes on (`inbox`), and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import ClaimRefused
from orchestrator.inbox import messages
from orchestrator.model import events as happened

if TYPE_CHECKING:
    import asyncio

    from orchestrator.context import RunContext
    from orchestrator.inbox import Message

__all__ = ["act_upon", "listen"]


async def listen(context: RunContext, stop: asyncio.Event) -> None:
    """Act upon the messages for a run until `stop`."""
    async for message in messages(context.folder, stop):
        act_upon(context, message)
        await context.settle()


def act_upon(context: RunContext, message: Message) -> None:
    """Do what a message wants; what cannot be done is noticed, and changes nothing. Saying it twice does nothing more."""
    state = context.state()
    match message.kind:
        case "pause" if not state.paused:
            context.emit(happened.Paused())
        case "unpause" if state.paused:
            context.emit(happened.Unpaused())
        case "cancel" if message.about not in state.tasks:
            context.emit(happened.Noticed(text=f"There is no task {message.about} to cancel."))
        case "cancel" if not (state.tasks[message.about].unwanted or state.tasks[message.about].status.final):
            context.emit(happened.CancelRequested(task=message.about))
            if (attempt := context.stop_attempt.get(message.about)) is not None:
                attempt.set()
        case "answer":
            try:
                context.hub.questions.answer(message.about, message.text)
            except ClaimRefused as refused:
                context.emit(happened.Noticed(text=f"No answer to {message.about}: {refused.message}."))

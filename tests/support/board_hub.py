"""A hub in a process of its own, to be killed: `python -m tests.support.board_hub LOG PORT SECRET TASKS`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestrator.board.access import Keys
from orchestrator.model.todo import TaskCard
from tests.support.boards import served


async def _serve(log: Path, port: int, secret: str, tasks: int) -> None:
    async with served(log, port=port, keys=Keys(secret)) as board:
        cards = [TaskCard(id=f"T{n}") for n in range(tasks)]
        board.hub.publish_tasks(cards)
        known = {task.id for task in board.hub.snapshot().tasks if task.state is not None}
        for card in cards:
            if card.id not in known:
                board.hub.open(card.id)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))

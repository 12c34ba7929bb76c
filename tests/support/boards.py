"""A board that is served over the network, and JavaScript beside it."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.board.access import Keys
from orchestrator.board.hub import open_board
from orchestrator.board.server import Address, board_app, listening
from tests.support.missing import not_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from orchestrator.board.hub import Hub

__all__ = ["JS", "ServedBoard", "eventually", "need_javascript", "served"]

JS = Path(__file__).parents[1] / "js"


@dataclass(frozen=True)
class ServedBoard:
    """A hub of this process, and how to reach it."""

    hub: Hub
    url: str
    keys: Keys

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rsplit(":", 1)[1].split("/")[0])


@asynccontextmanager
async def served(log: Path | None = None, *, port: int = 0, keys: Keys | None = None) -> AsyncIterator[ServedBoard]:
    """Serve a board on this machine."""
    keys = keys or Keys.new()
    async with open_board(log) as hub, listening(board_app(hub, keys), Address("127.0.0.1", port)) as url:
        yield ServedBoard(hub, url, keys)


async def eventually(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so that only the network brings about; it must be soon."""
    async with asyncio.timeout(seconds):
        while True:
            if true():
                return
            await asyncio.sleep(0.005)


def need_javascript() -> str:
    """Return the path of node; the test is skipped, and says why, if it or its packages are not there."""
    node = shutil.which("node")
    if node is None:
        not_here("node was not found: JavaScript peers cannot be tried here")
    if not (JS / "node_modules" / ".installed").is_file():
        not_here("the packages of tests/js are not installed: run scripts/setup-tools")
    return node

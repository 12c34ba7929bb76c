"""The page of a run in a real browser: a board of this process that shows one, and Chromium without a window."""

from __future__ import annotations

import importlib.util
import json
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from orchestrator.board.access import Keys
from orchestrator.board.hub import open_board
from orchestrator.board.server import Address, board_app, listening
from orchestrator.model.events import Event, RunStarted
from orchestrator.model.plan import Plan
from orchestrator.model.state import RunState, fold
from orchestrator.model.todo import TaskCard
from orchestrator.page.routes import page_routes
from orchestrator.watch import Watch
from tests.support.missing import not_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Browser, Page

    from orchestrator.board.hub import Hub
    from orchestrator.board.server import Host
    from orchestrator.inbox import Message
    from orchestrator.model.train_values import Train
    from orchestrator.page.routes import PageSource

__all__ = [
    "ARTEFACTS", "Papers", "ServedPage", "ShownRun", "board_page", "browser", "need_chromium", "open_page",
    "page_of", "picture", "shown_run",
]  # fmt: skip

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
"""Where pictures of the page go, for people to look at."""


@dataclass
class Papers:
    """What a page shows beside the board, as a test says; it keeps the messages that were left."""

    transcripts: dict[str, bytes] = field(default_factory=dict)
    diffs: dict[str, str] = field(default_factory=dict)
    left: list[Message] = field(default_factory=list)
    act_upon: Callable[[Message], None] = lambda _message: None

    def transcript(self, task: str, generation: int | None) -> bytes | None:
        return self.transcripts.get(f"{task}.gen-{generation}")

    def diff(self, task: str) -> str | None:
        return self.diffs.get(task)

    def act(self, message: Message) -> None:
        self.left.append(message)
        self.act_upon(message)


@dataclass
class ServedPage:
    """A page that is served, and the run that it shows."""

    url: str
    keys: Keys

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rsplit(":", 1)[1].strip("/"))

    @property
    def address(self) -> str:
        """What its owner opens."""
        return f"{self.url}#token={self.keys.owner}"


@dataclass
class ShownRun:
    """A run of which the test tells what happens; it is shown at once."""

    plan: Plan
    hub: Hub
    train: Train | None = None
    state: RunState = field(default_factory=RunState)
    at: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        self._watch = Watch(self.hub.show)
        self._watch.train = lambda: self.train
        self.hub.publish_tasks(TaskCard.of(task) for task in self.plan.tasks)

    def tell(self, *events: Event) -> None:
        """Let these happen, a second after each other."""
        for event in events:
            self.at += 1
            self.state = fold(self.state, event)
            if isinstance(event, RunStarted):
                self._watch.begin(self.plan, self.state)
            self._watch.tell(event, self.state, self.at)
        self._watch.show()


def shown_run(hub: Hub, *tasks: dict[str, Any], **more: Any) -> ShownRun:
    """Return a run of this plan, which has begun."""
    plan = Plan.model_validate_json(json.dumps({"version": 1, "name": "user-management", "tasks": tasks, **more}))
    shown = ShownRun(plan, hub)
    shown.tell(
        RunStarted(
            run="2026-11-22-user-management-4f1c", plan=plan.name, tasks=tuple(task.id for task in plan.tasks),
            plan_sha256="0" * 64, mode="worktree", base="main", commit="5b1d9ac2" * 5, jobs=4, folder="/run", pid=1,
        )
    )  # fmt: skip
    return shown


@asynccontextmanager
async def page_of(
    host: Host, source: PageSource, *, port: int = 0, keys: Keys | None = None
) -> AsyncIterator[ServedPage]:
    """Serve the page of a board on this machine."""
    keys = keys or Keys.new()
    app = Starlette(routes=[*page_routes(source, keys), *board_app(host, keys).routes])
    async with listening(app, Address("127.0.0.1", port)) as board:
        yield ServedPage(board.replace("ws:", "http:").removesuffix("board"), keys)


@asynccontextmanager
async def board_page(source: PageSource) -> AsyncIterator[tuple[Hub, ServedPage]]:
    """Serve the page of a board that lives in memory."""
    async with open_board(None) as hub, page_of(hub, source) as served:
        yield hub, served


def need_chromium() -> str:
    """Return the path of Chromium; the test is skipped, and says why, if it or its driver is not there."""
    if importlib.util.find_spec("playwright") is None:
        not_here("playwright is not installed: run scripts/setup")
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        not_here("Chromium was not found: run scripts/setup-tools")
    return found


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Start a browser without a window."""
    path = need_chromium()
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            await started.close()


@asynccontextmanager
async def open_page(started: Browser, address: str, *, expected: str = "", **traits: Any) -> AsyncIterator[Page]:
    """Open the page in a window of its own.

    Whatever it says to the console, without the words that are `expected`, or asks of another host, fails the test.
    """
    context = await started.new_context(**{"viewport": {"width": 1440, "height": 900}, **traits})
    faults: list[str] = []
    page = await context.new_page()
    page.set_default_timeout(10_000)
    page.on(
        "console",
        lambda said: faults.append(f"{said.text} {said.location}") if said.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on(
        "request", lambda asked: None if asked.url.startswith(address.partition("#")[0]) else faults.append(asked.url)
    )
    try:
        await page.goto(address)
        yield page
        unforeseen = [fault for fault in faults if not expected or expected not in fault]
        assert not unforeseen, unforeseen
    finally:
        await context.close()


async def picture(page: Page, name: str) -> None:
    """Take a picture of what is in sight, for people."""
    ARTEFACTS.mkdir(exist_ok=True)
    await page.screenshot(path=ARTEFACTS / f"{name}.png")

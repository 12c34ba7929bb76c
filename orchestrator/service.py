"""What a run offers over the network, at one address: its board, the board's tools for agents (MCP), and its page."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.routing import Route

from orchestrator.agents.mcp_server import McpEndpoint
from orchestrator.board.access import Keys
from orchestrator.board.publication import URL_FILE, Publication, published
from orchestrator.board.server import Address
from orchestrator.journal.journal import read_journal, state_in
from orchestrator.model.state import RunState, fold
from orchestrator.page.routes import page_routes
from orchestrator.page.run_files import RunFiles
from orchestrator.plan_of_run import pinned_plan
from orchestrator.watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from orchestrator.agents.base import Desk
    from orchestrator.board.archive import Archive
    from orchestrator.board.hub import Hub
    from orchestrator.driver import Recorder
    from orchestrator.git.repository import Repository
    from orchestrator.model.events import Event
    from orchestrator.model.plan import Plan

__all__ = ["RunFiles", "Served", "local_publication", "served", "served_archive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is served: the board's URL, which `file` in the run's folder says as well; and the run as people watch it."""

    url: str
    file: str
    watch: Watch
    keys: Keys

    def access_of(self, agent: str) -> dict[str, str]:
        """Return variables for the environment of an agent's programs."""
        return {"ORCH_MCP_URL": _http(self.url, "/mcp"), "ORCH_TOKEN": self.keys.agent(agent)}


@asynccontextmanager
async def served(
    hub: Hub, publication: Publication, *, files: RunFiles, plan: Plan, desks: Mapping[str, Desk], recorder: Recorder
) -> AsyncIterator[Served]:
    """Serve a run that goes on; everything that is recorded is shown until the context ends.

    Raises:
        UsageError: the address cannot be had, or the certificate cannot be read.
    """
    keys, tell, watch = publication.keys, recorder.tell, Watch(hub.show)
    watch.begin(plan, recorder.state)
    watch.show()

    def desk_of(token: str) -> Desk | None:
        rights = keys.rights(token)
        return desks.get(rights.agent) if rights and rights.agent else None

    def tell_both(event: Event, state: RunState) -> None:
        tell(event, state)
        watch.tell(event, state)

    async with McpEndpoint(desk_of).opened() as mcp:
        beside = [Route("/mcp", mcp), *page_routes(files, keys, origins=publication.origins)]
        async with published(hub, publication, files.folder, beside) as url:
            recorder.tell = tell_both
            showing = asyncio.create_task(watch.keep_showing(), name="show the run")
            try:
                publication.tell(_page_url(url, keys.owner))
                yield Served(url=url, file=URL_FILE, watch=watch, keys=keys)
            finally:
                showing.cancel()
                recorder.tell = tell
                watch.show()
                await hub.drained()


@asynccontextmanager
async def served_archive(
    archive: Archive, publication: Publication, folder: Path, repository: Repository
) -> AsyncIterator[str]:
    """Serve a run that nobody works on, for looking at; yields the URL of its board.

    Raises:
        UsageError: the address cannot be had, the certificate cannot be read, or the run's plan was changed.
    """
    plan = pinned_plan(folder, state_in(folder / "journal")).plan
    watch, state = Watch(archive.show), RunState()
    for at, event in read_journal(folder / "journal"):
        state = fold(state, event)
        watch.tell(event, state, at)
    watch.begin(plan, state)
    watch.show()
    beside = page_routes(RunFiles(folder, repository), publication.keys)
    async with published(archive, publication, folder, beside) as url:
        publication.tell(_page_url(url, publication.keys.owner))
        yield url


def local_publication() -> Publication:
    """Return where a run is served that only its own agents need to reach: at any free port of this machine."""
    return Publication(address=Address("127.0.0.1", 0), keys=Keys.new(), in_a_file=False)


def _page_url(board_url: str, token: str) -> str:
    """Return where the page of a board is, with what opens it after the `#`, which no browser sends to anybody."""
    return f"{_http(board_url, '/')}#token={token}"


def _http(board_url: str, path: str) -> str:
    place = urlsplit(board_url)
    return f"{'https' if place.scheme == 'wss' else 'http'}://{place.netloc}{path}"

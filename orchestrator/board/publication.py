"""Serving the board of a run, and where others find how to reach it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.board.access import Keys
from orchestrator.board.server import Address, Tls, board_app, listening
from orchestrator.errors import BoardError
from orchestrator.files import write_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from starlette.routing import BaseRoute

    from orchestrator.board.server import Host

__all__ = ["URL_FILE", "Publication", "published", "read_url_file"]

URL_FILE = "board.url"
"""In the run's folder while its board is served: the URL and the owner's token, a line each, for its user only."""


@dataclass(frozen=True, slots=True)
class Publication:
    """Where to listen, who may connect, and from which web pages besides those of the same host."""

    address: Address
    keys: Keys
    tls: Tls | None = None
    origins: tuple[str, ...] = ()
    tell: Callable[[str], None] = lambda _url: None
    """Told where the page is, with the owner's token in it."""
    in_a_file: bool = True
    """Whether a file in the run's folder says where it is, with the owner's token, which its agents could read there."""


@asynccontextmanager
async def published(
    host: Host, publication: Publication, folder: Path, beside: Sequence[BaseRoute] = ()
) -> AsyncIterator[str]:
    """Serve a board for as long as the context lasts, and say so in the run's folder; yields the URL.

    `beside` is what else is served at the same address.

    Raises:
        UsageError: the address cannot be had, or the certificate cannot be read.
    """
    app = board_app(host, publication.keys, origins=publication.origins)
    app.router.routes.extend(beside)
    async with listening(app, publication.address, tls=publication.tls) as url:
        place = folder / URL_FILE
        if publication.in_a_file:
            write_whole(place, f"{url}\n{publication.keys.owner}\n".encode())  # such a file is its user's only
        try:
            yield url
        finally:
            place.unlink(missing_ok=True)


def read_url_file(folder: Path) -> tuple[str, Keys]:
    """Return where the board of a run is served, and its keys.

    Raises:
        BoardError: it is not served, or the file was changed.
    """
    try:
        url, token = (folder / URL_FILE).read_text(encoding="utf-8").split()
    except (OSError, ValueError) as fault:
        raise BoardError(f"the board of {folder.name} is not served") from fault
    return url, Keys(token)

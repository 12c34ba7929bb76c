"""`orch serve`, and the live board: what has to do with a board over the network."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.common import open_repository, repo_option, run_folder, say
from orchestrator.errors import BoardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.board.archive import Archive
    from orchestrator.board.client import Watch
    from orchestrator.board.publication import Publication
    from orchestrator.git.repository import Repository

__all__ = ["listen_options", "publication_of", "serve", "show_live"]

_TOKEN_FILE = 4096  # bytes


def listen_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says where and for whom a board is served; the command gets it as `publication`, None if nowhere."""
    file = click.Path(path_type=Path, exists=True, dir_okay=False)

    @functools.wraps(command)
    def wrapped(
        *, listen: str | None, web: bool, tls_cert: Path | None, tls_key: Path | None, token_file: Path | None, insecure: bool,
        origins: tuple[str, ...], **others: object,
    ) -> object:  # fmt: skip
        if listen is None and web:
            listen = "127.0.0.1:0"
        if listen is None and (tls_cert or tls_key or token_file or insecure or origins):
            raise click.UsageError("Say with --listen where the board is served.")
        publication = None if listen is None else publication_of(
            listen, web=web, tls_cert=tls_cert, tls_key=tls_key, token_file=token_file, insecure=insecure, origins=origins
        )  # fmt: skip
        return command(publication=publication, **others)

    options = (
        click.option(
            "--listen", metavar="HOST:PORT",
            help="Serve the board there; other machines than this one need --tls-cert, or --insecure. Port 0 is any.",
        ),
        click.option("--web", is_flag=True, help="Print the address of the page on which the run can be watched."),
        click.option("--tls-cert", type=file, help="With --listen: use TLS with this certificate, in PEM form."),
        click.option("--tls-key", type=file, help="With --listen: the key of --tls-cert, in PEM form."),
        click.option("--token-file", type=file, help="With --listen: the owner's token (default: a new one)."),
        click.option("--insecure", is_flag=True, help="With --listen: let other machines connect without TLS."),
        click.option("--origin", "origins", multiple=True, help="With --listen: a web page's origin that may connect."),
    )  # fmt: skip
    return functools.reduce(lambda made, option: option(made), reversed(options), wrapped)


def publication_of(
    listen: str, *, web: bool = False, tls_cert: Path | None = None, tls_key: Path | None = None, token_file: Path | None = None,
    insecure: bool = False, origins: tuple[str, ...] = (),
) -> Publication:  # fmt: skip
    """Return where and for whom a board is served.

    Raises:
        UsageError: these options do not go together, or the token cannot be used.
    """
    from orchestrator.board.access import Keys
    from orchestrator.board.publication import Publication
    from orchestrator.board.server import Address, Tls

    address = Address.parse(listen)
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("A certificate and its key go together.", hint="Give both --tls-cert and --tls-key.")
    tls = Tls(tls_cert, tls_key) if tls_cert and tls_key else None
    if not (address.is_local or tls or insecure):
        raise UsageError(
            f"Without TLS everybody on the way to {address.host} can read the token.",
            hint="Give --tls-cert and --tls-key, or listen at 127.0.0.1 behind an SSH tunnel, or say --insecure.",
        )
    try:
        keys = Keys(token_file.read_text(encoding="utf-8")[:_TOKEN_FILE].strip()) if token_file else Keys.new()
    except (BoardError, OSError, ValueError) as fault:
        raise UsageError(f"{token_file} holds no token: {fault}.", hint=getattr(fault, "hint", "")) from fault
    tell = _print_page if web else lambda _url: None
    return Publication(address=address, keys=keys, tls=tls, origins=origins, tell=tell)


def _print_page(url: str) -> None:
    click.echo(f"Watch it here: {url}", err=True)


@click.command(short_help="Serve a board that nobody else serves.")
@click.argument("run", required=False)
@listen_options
@click.option("--token-for", metavar="AGENT", help="Print a token with which AGENT takes part, and end; RUN is served.")
@repo_option
def serve(*, run: str | None, token_for: str | None, repo: Path | None, publication: Publication | None) -> None:
    """Serve the board of RUN (default: the newest), which nobody works on, for looking at, until interrupted.

    The board of a run that is worked on is served by that process: orch run --listen HOST:PORT.
    """
    import asyncio

    from orchestrator.board.archive import Archive
    from orchestrator.board.publication import read_url_file
    from orchestrator.journal.journal import is_free

    repository = open_repository(repo)
    folder = run_folder(repository, run)
    if token_for is not None:
        try:
            say([read_url_file(folder)[1].agent(token_for)])
        except BoardError as fault:
            raise UsageError(f"{fault}.", hint=fault.hint or "Serve it: orch run --listen HOST:PORT PLAN") from fault
        return
    if not is_free(folder / "journal"):
        raise UsageError(
            f"A process is working on {folder.name}; its board can only be served there.",
            hint="Start a run with --listen HOST:PORT; the URL is then in board.url in the run's folder.",
        )
    archive = Archive(folder / "board.log")
    asyncio.run(_serve(archive, publication or publication_of("127.0.0.1:0", web=True), folder, repository))


async def _serve(archive: Archive, publication: Publication, folder: Path, repository: Repository) -> None:
    import asyncio
    import signal

    from orchestrator.board.publication import URL_FILE
    from orchestrator.service import served_archive

    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with served_archive(archive, publication, folder, repository) as url:
        say([f"The board of {folder.name} is at {url}; the token is in {folder / URL_FILE}."])
        await over.wait()
        archive.close("the board is not served any more")


def show_live(*, url: str, token: str | None, follow: bool, ca: Path | None, as_json: bool) -> None:
    """Print the board that is served there, once or at each change.

    Raises:
        UsageError: it cannot be had.
    """
    import asyncio
    import contextlib

    if not token:
        raise UsageError("A board elsewhere needs a token.", hint="Give --token, or set ORCH_BOARD_TOKEN.")
    with contextlib.suppress(asyncio.CancelledError):
        try:
            asyncio.run(_show(url, token, ca, follow=follow, as_json=as_json))
        except BoardError as fault:
            raise UsageError(f"{fault}.", hint=fault.hint) from fault


async def _show(url: str, token: str, ca: Path | None, *, follow: bool, as_json: bool) -> None:
    import ssl

    from orchestrator.board.client import watch

    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    async with watch(url, token, again=follow, context=context) as board:
        await board.synced()
        _print(board, as_json=as_json, clear=False)
        while follow:
            await board.changed()
            _print(board, as_json=as_json, clear=sys.stdout.isatty())


def _print(board: Watch, *, as_json: bool, clear: bool) -> None:
    from orchestrator.board.snapshot import render

    seen = board.snapshot()
    say([json.dumps(seen.as_json()) if as_json else ("\x1b[H\x1b[2J" if clear else "") + render(seen)])

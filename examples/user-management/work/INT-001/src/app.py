"""The program: `python3 -m src.app --help`."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Sequence

from contracts.interfaces.store import IStore
from contracts.types.errors import UserManagementError
from src.api.accounts import AccountApi
from src.auth.passwords import DEFAULT_COST, ScryptCost
from src.auth.service import AuthService
from src.auth.throttle import ThrottledAuthService
from src.cli.commands import run_command
from src.cli.parser import build_parser
from src.profile.service import ProfileService
from src.settings.service import SettingsService
from src.storage.json_file import JsonFileStore

__all__ = ["build_api", "main"]


def build_api(store: IStore, *, cost: ScryptCost = DEFAULT_COST) -> AccountApi:
    """Return the whole application on one store: the only place that knows every part."""
    return AccountApi(
        auth=ThrottledAuthService(AuthService(store, cost=cost), store),
        profiles=ProfileService(store),
        settings=SettingsService(store),
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 if it was refused; wrong arguments exit with 2."""
    arguments = build_parser().parse_args(words)
    try:
        api = build_api(JsonFileStore(arguments.store))
        asyncio.run(run_command(api, arguments, ask=_ask, say=print))
    except (UserManagementError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _ask(prompt: str) -> str:
    """Ask at the terminal without showing what is typed; without a terminal, take the next input line."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\r\n")


if __name__ == "__main__":
    sys.exit(main())

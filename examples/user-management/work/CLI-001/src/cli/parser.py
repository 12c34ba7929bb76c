"""The arguments that the program understands."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

__all__ = ["build_parser"]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; its result has `store`, `command`, and what the command takes."""
    parser = argparse.ArgumentParser(
        prog="python3 -m src.app",
        description="Manage user accounts. Passwords are asked for, or read as lines.",
    )
    store = Path(os.environ.get("APP_STORE", "users.json"))
    parser.add_argument(
        "--store", type=Path, default=store, help="the file with all data (default: %(default)s)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_account_commands(commands, _token_option())
    _add_profile_commands(commands, _token_option())
    _add_settings_commands(commands, _token_option())
    return parser


def _token_option() -> argparse.ArgumentParser:
    option = argparse.ArgumentParser(add_help=False)
    option.add_argument(
        "--token", default=os.environ.get("APP_TOKEN", ""), help="what login printed (default: $APP_TOKEN)"
    )
    return option


def _add_account_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], token: argparse.ArgumentParser
) -> None:
    register = commands.add_parser("register", help="create an account")
    register.add_argument("email")
    register.add_argument("--name", required=True, help="the name that others see")
    login = commands.add_parser("login", help="print a token that stands for you")
    login.add_argument("email")
    commands.add_parser("whoami", parents=[token], help="show whose token it is")
    commands.add_parser("logout", parents=[token], help="make the token worthless")
    commands.add_parser("password", parents=[token], help="change the password")
    commands.add_parser("delete", parents=[token], help="delete the account and all that belongs to it")


def _add_profile_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], token: argparse.ArgumentParser
) -> None:
    profile = commands.add_parser("profile", help="what others see")
    actions = profile.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("show", parents=[token], help="show your profile")
    edit = actions.add_parser("edit", parents=[token], help="change fields; an empty text clears one")
    for field in ("name", "bio", "website"):
        edit.add_argument(f"--{field}")
    find = actions.add_parser("find", parents=[token], help="find people by name")
    find.add_argument("text")


def _add_settings_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], token: argparse.ArgumentParser
) -> None:
    settings = commands.add_parser("settings", help="what you have chosen")
    actions = settings.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", parents=[token], help="show all settings")
    change = actions.add_parser("set", parents=[token], help="choose a value")
    change.add_argument("name")
    change.add_argument("value")
    reset = actions.add_parser("reset", parents=[token], help="go back to the default")
    reset.add_argument("name")

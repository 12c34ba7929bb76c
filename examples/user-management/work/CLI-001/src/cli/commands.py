"""What each command does."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from contracts.types.profile import Profile
from contracts.types.setting import SettingValue
from src.api.accounts import AccountApi

__all__ = ["Ask", "Say", "run_command"]

Ask: TypeAlias = Callable[[str], str]
"""Asks for a secret and returns it."""

Say: TypeAlias = Callable[[str], None]
"""Prints one line."""

_Command: TypeAlias = Callable[[AccountApi, Namespace, Ask, Say], Awaitable[None]]


async def run_command(api: AccountApi, arguments: Namespace, *, ask: Ask, say: Say) -> None:
    """Do what the parsed arguments say.

    Raises:
        UserManagementError: it cannot be done.
    """
    action = getattr(arguments, "action", None)
    await _COMMANDS[arguments.command, action](api, arguments, ask, say)


async def _register(api: AccountApi, arguments: Namespace, ask: Ask, say: Say) -> None:
    account = await api.sign_up(arguments.email, ask("Password: "), display_name=arguments.name)
    say(f"Registered {account.user.email}.")


async def _login(api: AccountApi, arguments: Namespace, ask: Ask, say: Say) -> None:
    say((await api.sign_in(arguments.email, ask("Password: "))).token)


async def _whoami(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    user = (await api.account(arguments.token)).user
    say(f"{user.email}, since {user.created_at:%Y-%m-%d}")


async def _logout(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    await api.sign_out(arguments.token)
    say("Logged out.")


async def _password(api: AccountApi, arguments: Namespace, ask: Ask, say: Say) -> None:
    await api.change_password(arguments.token, current=ask("Old password: "), new=ask("New password: "))
    say("Changed. Log in again.")


async def _delete(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    await api.delete_account(arguments.token)
    say("Deleted.")


async def _show_profile(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    _say_profile((await api.account(arguments.token)).profile, say)


async def _edit_profile(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    profile = await api.edit_profile(
        arguments.token, display_name=arguments.name, bio=arguments.bio, website=arguments.website
    )
    _say_profile(profile, say)


async def _find_people(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    for profile in await api.find_people(arguments.token, arguments.text):
        say(f"{profile.display_name}  {profile.website}".rstrip())


async def _list_settings(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    chosen = (await api.account(arguments.token)).settings
    for spec in api.describe_settings():
        say(f"{spec.name:<12}{_text(chosen[spec.name]):<10}{spec.description}")


async def _change_setting(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    value = await api.change_setting(arguments.token, arguments.name, arguments.value)
    say(f"{arguments.name} is {_text(value)}.")


async def _reset_setting(api: AccountApi, arguments: Namespace, _ask: Ask, say: Say) -> None:
    value = await api.reset_setting(arguments.token, arguments.name)
    say(f"{arguments.name} is {_text(value)} again.")


def _say_profile(profile: Profile, say: Say) -> None:
    for label, text in (("Name", profile.display_name), ("Bio", profile.bio), ("Website", profile.website)):
        if text:
            say(f"{label + ':':<9}{text}")


def _text(value: SettingValue) -> str:
    return ("off", "on")[value] if isinstance(value, bool) else str(value)


_COMMANDS: dict[tuple[str, str | None], _Command] = {
    ("register", None): _register,
    ("login", None): _login,
    ("whoami", None): _whoami,
    ("logout", None): _logout,
    ("password", None): _password,
    ("delete", None): _delete,
    ("profile", "show"): _show_profile,
    ("profile", "edit"): _edit_profile,
    ("profile", "find"): _find_people,
    ("settings", "list"): _list_settings,
    ("settings", "set"): _change_setting,
    ("settings", "reset"): _reset_setting,
}

"""Everything that can be refused, as one tree; each message may be shown to the user as it is."""

from __future__ import annotations

from contracts.types.user import UserId

__all__ = [
    "EmailTakenError",
    "InvalidCredentialsError",
    "InvalidEmailError",
    "InvalidProfileError",
    "InvalidSettingError",
    "ProfileExistsError",
    "SessionExpiredError",
    "StoreError",
    "TooManyAttemptsError",
    "UnknownSettingError",
    "UserManagementError",
    "UserNotFoundError",
    "WeakPasswordError",
]


class UserManagementError(Exception):
    """What was asked for cannot be done; the message says why."""


class UserNotFoundError(UserManagementError):
    """There is no such user (or the user has no profile yet)."""

    def __init__(self, user_id: UserId) -> None:
        super().__init__(f"there is no user {user_id}")
        self.user_id = user_id


class EmailTakenError(UserManagementError):
    """Somebody has registered with this address before."""


class InvalidEmailError(UserManagementError):
    """This is no e-mail address."""


class WeakPasswordError(UserManagementError):
    """The password is too easy to guess, or too long to be handled."""


class InvalidCredentialsError(UserManagementError):
    """E-mail and password do not fit together; which of them is wrong is not told."""


class TooManyAttemptsError(UserManagementError):
    """Too many failed logins; try again later."""


class SessionExpiredError(UserManagementError):
    """The session is over, or never was."""


class ProfileExistsError(UserManagementError):
    """The user has a profile already."""


class InvalidProfileError(UserManagementError):
    """A field of the profile breaks a rule."""


class UnknownSettingError(UserManagementError):
    """There is no setting of this name."""


class InvalidSettingError(UserManagementError):
    """The value does not fit the setting."""


class StoreError(UserManagementError):
    """The stored data cannot be read."""

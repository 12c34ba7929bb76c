"""Who may act as whom."""

from __future__ import annotations

from abc import ABC, abstractmethod

from contracts.types.session import Session
from contracts.types.user import User, UserId

__all__ = ["IAuthService"]


class IAuthService(ABC):
    """Users, their passwords and their sessions."""

    @abstractmethod
    async def register(self, email: str, password: str) -> User:
        """Add a user and return it.

        Raises:
            InvalidEmailError: `email` is no address.
            WeakPasswordError: `password` breaks the password rules.
            EmailTakenError: the address, in whatever case it is written, is in use.
        """

    @abstractmethod
    async def login(self, email: str, password: str) -> Session:
        """Start a session.

        Raises:
            InvalidCredentialsError: there is no such user, or the password is wrong.
            TooManyAttemptsError: too many logins failed in a short time.
        """

    @abstractmethod
    async def authenticate(self, token: str) -> User:
        """Return whose session this is.

        Raises:
            SessionExpiredError: the session is over, or never was.
        """

    @abstractmethod
    async def logout(self, token: str) -> None:
        """End a session; one that is over already stays so."""

    @abstractmethod
    async def change_password(self, user_id: UserId, *, current: str, new: str) -> None:
        """Replace the password and end all sessions of the user.

        Raises:
            UserNotFoundError: there is no such user.
            InvalidCredentialsError: `current` is wrong.
            WeakPasswordError: `new` breaks the password rules.
        """

    @abstractmethod
    async def remove_user(self, user_id: UserId) -> None:
        """Forget the user and end all sessions; the address is free again.

        Raises:
            UserNotFoundError: there is no such user.
        """

    @abstractmethod
    def find_user(self, user_id: UserId) -> User:
        """Return the user.

        Raises:
            UserNotFoundError: there is no such user.
        """

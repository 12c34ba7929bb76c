"""Guessing passwords must be slow: after some failures an address has to wait."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.interfaces.auth import IAuthService
from contracts.interfaces.store import IStore
from contracts.types.errors import TooManyAttemptsError
from contracts.types.session import Session
from contracts.types.user import User, UserId
from src.auth.rules import normal_email
from src.shared.clock import Clock, utc_now

__all__ = ["ThrottledAuthService"]


class ThrottledAuthService(IAuthService):
    """Another auth service, with at most `limit` failed logins for one address within `window`."""

    def __init__(
        self,
        inner: IAuthService,
        store: IStore,
        *,
        clock: Clock = utc_now,
        limit: int = 5,
        window: timedelta = timedelta(minutes=15),
    ) -> None:
        self._inner = inner
        self._attempts = store.table("login_attempts")
        self._clock = clock
        self._limit = limit
        self._window = window

    async def register(self, email: str, password: str) -> User:
        """Add a user and return it."""
        return await self._inner.register(email, password)

    async def login(self, email: str, password: str) -> Session:
        """Start a session, unless too many logins failed for this address a short time ago."""
        address = normal_email(email)
        self._forget_old_attempts()
        earlier = self._attempts.get(address, {"times": []})["times"]
        if len(earlier) >= self._limit:
            free_at = datetime.fromisoformat(earlier[0]) + self._window
            raise TooManyAttemptsError(f"too many failed logins; try again at {free_at:%H:%M} UTC")
        # Counted before the password is looked at, so that many tries at once are counted too.
        self._attempts[address] = {"times": [*earlier, self._clock().isoformat()]}
        session = await self._inner.login(email, password)
        self._attempts.pop(address, None)
        return session

    async def authenticate(self, token: str) -> User:
        """Return whose session this is."""
        return await self._inner.authenticate(token)

    async def logout(self, token: str) -> None:
        """End a session; one that is over already stays so."""
        await self._inner.logout(token)

    async def change_password(self, user_id: UserId, *, current: str, new: str) -> None:
        """Replace the password and end all sessions of the user."""
        await self._inner.change_password(user_id, current=current, new=new)

    async def remove_user(self, user_id: UserId) -> None:
        """Forget the user and end all sessions; the address is free again."""
        await self._inner.remove_user(user_id)

    def find_user(self, user_id: UserId) -> User:
        """Return the user."""
        return self._inner.find_user(user_id)

    def _forget_old_attempts(self) -> None:
        """Drop attempts outside the window, for all addresses, so that the table cannot grow for ever."""
        start = self._clock() - self._window
        for address, record in list(self._attempts.items()):
            recent = [time for time in record["times"] if datetime.fromisoformat(time) > start]
            if not recent:
                del self._attempts[address]
            elif recent != record["times"]:
                self._attempts[address] = {"times": recent}

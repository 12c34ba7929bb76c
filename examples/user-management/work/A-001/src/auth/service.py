"""Users, their passwords and their sessions, in a store."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

from contracts.interfaces.auth import IAuthService
from contracts.interfaces.store import IStore
from contracts.types.errors import (
    EmailTakenError,
    InvalidCredentialsError,
    SessionExpiredError,
    UserNotFoundError,
)
from contracts.types.record import Record
from contracts.types.session import Session
from contracts.types.user import User, UserId
from src.auth.passwords import DEFAULT_COST, ScryptCost, hash_password, verify_password
from src.auth.rules import checked_email, checked_password, normal_email, normal_password
from src.shared.clock import Clock, utc_now

__all__ = ["AuthService"]

_WRONG = "e-mail or password is wrong"


class AuthService(IAuthService):
    """Keeps hashes of passwords and of session tokens, so that a stolen store opens no account.

    Hashing runs in a thread; between a check and the change that relies on it nothing is awaited.
    """

    def __init__(
        self,
        store: IStore,
        *,
        clock: Clock = utc_now,
        lifetime: timedelta = timedelta(hours=12),
        cost: ScryptCost = DEFAULT_COST,
    ) -> None:
        self._users = store.table("users")
        self._emails = store.table("emails")
        self._sessions = store.table("sessions")
        self._clock = clock
        self._lifetime = lifetime
        self._cost = cost

    async def register(self, email: str, password: str) -> User:
        """Add a user and return it."""
        address = checked_email(email)
        hashed = await asyncio.to_thread(hash_password, checked_password(password, address), self._cost)
        if address in self._emails:
            raise EmailTakenError(f"{address} is registered already")
        user_id = UserId(uuid.uuid4().hex)
        now = self._clock().isoformat()
        self._users[user_id] = {"email": address, "password": hashed, "created_at": now}
        self._emails[address] = {"user_id": user_id}
        return self.find_user(user_id)

    async def login(self, email: str, password: str) -> Session:
        """Start a session; an unknown address takes as long as a wrong password."""
        entry = self._emails.get(normal_email(email))
        if entry is None:
            await asyncio.to_thread(hash_password, normal_password(password), self._cost)
            raise InvalidCredentialsError(_WRONG)
        user_id = UserId(entry["user_id"])
        await self._check_password(user_id, password)
        self._forget_old_sessions()
        token = secrets.token_hex(
            32
        )  # never starts with a dash, which a command line would take for an option
        expires_at = self._clock() + self._lifetime
        self._sessions[_key(token)] = {"user_id": user_id, "expires_at": expires_at.isoformat()}
        return Session(token=token, user_id=user_id, expires_at=expires_at)

    async def authenticate(self, token: str) -> User:
        """Return whose session this is."""
        session = self._sessions.get(_key(token))
        if session is None or self._is_over(session):
            raise SessionExpiredError("the session is over; log in again")
        return self.find_user(UserId(session["user_id"]))

    async def logout(self, token: str) -> None:
        """End a session; one that is over already stays so."""
        self._sessions.pop(_key(token), None)

    async def change_password(self, user_id: UserId, *, current: str, new: str) -> None:
        """Replace the password and end all sessions of the user."""
        email = self.find_user(user_id).email
        await self._check_password(user_id, current)
        hashed = await asyncio.to_thread(hash_password, checked_password(new, email), self._cost)
        self._users[user_id] = {**self._record(user_id), "password": hashed}
        self._end_sessions(user_id)

    async def remove_user(self, user_id: UserId) -> None:
        """Forget the user and end all sessions; the address is free again."""
        email = self.find_user(user_id).email
        self._end_sessions(user_id)
        del self._emails[email]
        del self._users[user_id]

    def find_user(self, user_id: UserId) -> User:
        """Return the user."""
        record = self._record(user_id)
        created_at = datetime.fromisoformat(record["created_at"])
        return User(user_id=user_id, email=record["email"], created_at=created_at)

    def _record(self, user_id: UserId) -> Record:
        record = self._users.get(user_id)
        if record is None:
            raise UserNotFoundError(user_id)
        return record

    async def _check_password(self, user_id: UserId, password: str) -> None:
        stored = self._record(user_id)["password"]
        if not await asyncio.to_thread(verify_password, normal_password(password), stored):
            raise InvalidCredentialsError(_WRONG)
        # The password may have changed, or the user may have gone, while the thread was hashing.
        if self._record(user_id)["password"] != stored:
            raise InvalidCredentialsError(_WRONG)

    def _is_over(self, session: Record) -> bool:
        return datetime.fromisoformat(session["expires_at"]) <= self._clock()

    def _forget_old_sessions(self) -> None:
        for key in [key for key, session in self._sessions.items() if self._is_over(session)]:
            del self._sessions[key]

    def _end_sessions(self, user_id: UserId) -> None:
        for key in [key for key, session in self._sessions.items() if session["user_id"] == user_id]:
            del self._sessions[key]


def _key(token: str) -> str:
    """Return under which key a session is stored; the token is random enough for a plain hash."""
    return hashlib.sha256(token.encode()).hexdigest()

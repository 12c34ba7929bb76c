"""The auth service keeps the auth rules."""

from __future__ import annotations

from contracts.behaviors import auth_behaviour
from src.auth.passwords import ScryptCost
from src.auth.service import AuthService
from src.shared.store import MemoryStore


class AuthServiceKeepsTheRules(auth_behaviour.AuthBehaviour):
    """`AuthService` against `contracts/behaviors/auth.md`."""

    def make(self) -> AuthService:
        return AuthService(MemoryStore(), clock=self.clock, cost=ScryptCost(n=2, r=1, p=1))

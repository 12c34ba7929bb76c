"""The profile service keeps the profile rules."""

from __future__ import annotations

from contracts.behaviors import profile_behaviour
from src.profile.service import ProfileService
from src.shared.store import MemoryStore


class ProfileServiceKeepsTheRules(profile_behaviour.ProfileBehaviour):
    """`ProfileService` against `contracts/behaviors/profile.md`."""

    def make(self) -> ProfileService:
        return ProfileService(MemoryStore())

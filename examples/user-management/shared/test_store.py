"""The store in memory keeps the store's rules."""

from __future__ import annotations

from contracts.behaviors import store_behaviour
from src.shared.store import MemoryStore


class MemoryStoreKeepsTheRules(store_behaviour.StoreBehaviour):
    """`MemoryStore` against `contracts/behaviors/store.md`."""

    def make(self) -> MemoryStore:
        return MemoryStore()

"""Where the services keep their records."""

from __future__ import annotations

from abc import ABC, abstractmethod

from contracts.types.record import Table

__all__ = ["IStore"]


class IStore(ABC):
    """Named tables of records; a change is kept as soon as the assignment returns."""

    @abstractmethod
    def table(self, name: str) -> Table:
        """Return the table of that name, empty at first."""

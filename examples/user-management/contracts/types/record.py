"""What a store keeps."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeAlias

__all__ = ["Record", "Table"]

Record: TypeAlias = dict[str, Any]
"""What JSON can say; times are ISO 8601 texts."""

Table: TypeAlias = MutableMapping[str, Record]

"""What each worktree gets before its agent starts, as `plan.yaml` says it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.model.plan_values import GlobText, Positive, Strict, described

__all__ = ["WorktreeSetup", "parse_size"]

_UNIT_BYTES = {
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"([1-9][0-9]{0,5}(?:\.[0-9]{1,3})?)(kB|MB|GB|TB|KiB|MiB|GiB|TiB)")


def parse_size(text: object) -> int:
    """Return the bytes that `500MB`, `5GB` or `1.5GiB` stand for.

    Raises:
        ValueError: it is something else; the message shows what to write.
    """
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{described(text)} is no size; write a number with a unit, such as 500MB, 5GB or 2GiB")
    return int(float(found[1]) * _UNIT_BYTES[found[2]])


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIZE.pattern}$".replace("?:", ""), "examples": ["500MB", "5GB"]}),
]
"""Bytes, written as `500MB`, `5GB` or `2GiB`."""


class WorktreeSetup(Strict):
    """What each attempt's worktree gets before its agent starts; `timeout` in seconds, `disk` in bytes."""

    copied: tuple[GlobText, ...] = Field(
        default=(), alias="copy", description="globs of ignored files that are copied from the checkout"
    )
    setup: str | None = Field(default=None, min_length=1, description="a shell command that is run first")
    timeout: Positive = Field(default=600.0, description="time for setup", json_schema_extra={"default": "10m"})
    ports: int = Field(default=0, ge=0, le=100, description="free ports that each attempt has for itself")
    disk: Size | None = Field(default=None, description="room that all worktrees of a run may take")

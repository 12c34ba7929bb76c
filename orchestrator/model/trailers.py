"""Provenance trailers ⇄ text: who made a commit, under which task, from what.

::

    Provenance-Run: 2026-11-22-user-management-7f3a
    Provenance-Task: A-001
    …

The block is the last paragraph of the message, one line a key, as `git interpret-trailers --parse` reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from orchestrator.model.text import clean_text

__all__ = ["Provenance", "message_with", "provenance_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the trailers of one commit say; `task` is `contracts` for the commit that writes the contracts."""

    run: str
    task: str
    track: str
    generation: int
    session: str
    agent: str
    model: str
    spec_hash: str
    context_hash: str
    contracts_hash: str
    content_hash: str
    work_product: str

    def lines(self) -> list[str]:
        """Return one `Provenance-Key: value` line a field, in the published order; a value never breaks its line."""
        return [f"{_key(f.name)}: {clean_text(str(getattr(self, f.name))) or '-'}" for f in fields(self)]


def _key(field: str) -> str:
    return "Provenance-" + "-".join(part.capitalize() for part in field.split("_"))


_FIELDS = {_key(f.name).lower(): f.name for f in fields(Provenance)}
_TRAILER = re.compile(r"([A-Za-z0-9-]+)\s*:\s*(.*)")


def message_with(subject: str, body: str, provenance: Provenance) -> str:
    """Return a commit message that ends in the trailers.

    `body` may come from an agent: lines of it that look like one of our trailers, or like the `---` that ends a message
    for git's own parser, do not survive; nor do control characters.
    """
    kept = [line for line in map(clean_text, body.splitlines()) if not _forged(line)]
    paragraphs = [clean_text(subject)[:100] or provenance.task, "\n".join(kept).strip(), "\n".join(provenance.lines())]
    return "\n\n".join(p for p in paragraphs if p) + "\n"


def _forged(line: str) -> bool:
    return line.lower().lstrip("> \t").startswith("provenance-") or line.startswith(("---", "#"))


def provenance_of(message: str) -> Provenance | None:
    """Return what the last paragraph of a commit message says, or None if it holds no complete block of ours."""
    last = message.rstrip().replace("\r\n", "\n").rpartition("\n\n")[2]
    found: dict[str, str] = {}
    for line in last.split("\n"):
        match = _TRAILER.fullmatch(line)
        if match and (name := _FIELDS.get(match[1].lower())):
            if name in found:
                return None  # a doubled key is a forgery: we never write one
            found[name] = match[2].strip()
    if found.keys() != set(_FIELDS.values()) or not found["generation"].isdigit():
        return None
    return Provenance(**{**found, "generation": int(found["generation"])})  # type: ignore[arg-type]

"""Checks of small trees that are written as dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.checks.contract import check_implementations
from orchestrator.model.finding import Severity, Violation
from orchestrator.model.plan import Implementation

Files = Mapping[str, str | bytes]
CONTRACT, WORK = "contracts/interfaces/store.py", "src/store/service.py"
WRITTEN = re.compile(r":( \.\.\.| pass| raise .+| return .+| yield .+| self\..+)?$")


def check(
    files: Files, by: str = "src.store.service:Store", interface: str = "contracts.interfaces.store:IStore"
) -> tuple[Violation, ...]:
    def read(path: str) -> bytes | None:
        text = files.get(path)
        return text.encode() if isinstance(text, str) else text

    return check_implementations([Implementation(interface=interface, by=by, task="S-1")], read)


def kinds(found: tuple[Violation, ...]) -> set[str]:
    return {("" if v.severity is Severity.ERROR else "~") + v.kind for v in found}


def class_text(head: str, members: str, body: str) -> str:
    """A class with members of which only the heads need to be written."""
    lines = [line if WRITTEN.search(line) or "def " not in line else f"{line}: {body}" for line in members.splitlines()]
    return "\n".join([head, *(f"    {line}" for line in lines), ""])

"""Errors of type in the Python files that a trial wrote, as mypy counts them when it is always asked in the same words."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import ProcessError
from orchestrator.processes.process import Ending, clean_environment, run_group

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS", "type_errors"]

OPTIONS = (
    "--config-file=", "--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent", "--check-untyped-defs",
    "--explicit-package-bases", "--no-error-summary", "--no-color-output", "--no-pretty",
)  # fmt: skip
"""How mypy is asked: what is installed here, or configured in the work, has no part in the count."""

_ERROR = re.compile(rb"^.+?:\d+: error: ", re.MULTILINE)
_LONGEST = 120.0  # seconds
_CLEAN, _FOUND = 0, 1  # mypy's exit codes; with any other it has not checked everything


async def type_errors(written: Mapping[str, str], work: Path) -> int | None:
    """Return how many errors of type there are in the Python files among these, which parse; `written` is text by path.

    The files are checked together, and what they import from elsewhere may be of any type. None: there are none, there is no
    mypy, or it could not check them. `work` keeps what mypy knows of the standard library from one call to the next.
    """
    files = {path: text for path, text in written.items() if path.endswith((".py", ".pyi"))}
    mypy = _mypy()
    if not files or not mypy:
        return None
    said = bytearray()
    # A folder with a new name each time: mypy takes an equal path with an equal size and second for an unchanged file.
    with tempfile.TemporaryDirectory(prefix="types-", dir=work) as name:
        try:
            folder = _filled(name, files)
            ended = await run_group(
                [*mypy, *OPTIONS, f"--cache-dir={work / 'mypy'}", "--", *(str(folder / path) for path in files)],
                cwd=folder, env=_environment(), on_output=said.extend, wall=_LONGEST,
            )  # fmt: skip
        except (ProcessError, OSError):
            return None
    found = len(_ERROR.findall(said))
    whole = ended.ending is Ending.EXITED and ended.code == (_FOUND if found else _CLEAN)
    return found if whole else None


def _filled(name: str, files: Mapping[str, str]) -> Path:
    """Write files into a folder, and return its real path: mypy counts modules from it."""
    folder = Path(name).resolve()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="")
    return folder


def _mypy() -> list[str]:
    """Return the command of the mypy beside orch, else of the one on $PATH; empty if there is none."""
    if find_spec("mypy") is not None:
        return [sys.executable, "-P", "-m", "mypy"]  # -P: no file of the work is taken for one of mypy's modules
    found = shutil.which("mypy")
    return [found] if found else []


def _environment() -> dict[str, str]:
    return {name: value for name, value in clean_environment().items() if not name.startswith("MYPY")}

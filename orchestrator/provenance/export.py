"""Provenance for other programs: as git notes, or as one JSON file for each file."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.git.notes import write_notes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.model.formats import NoteJson
    from orchestrator.provenance.files import FileProvenance
    from orchestrator.provenance.lines import AllLines
    from orchestrator.provenance.view import View

__all__ = ["NOTES", "export_files", "export_notes"]

NOTES = "refs/notes/orch-provenance"
"""Where the notes go; `git log --notes=orch-provenance` shows them."""


def export_notes(view: View, found: AllLines) -> int:
    """Write a note for each commit of a run that lines come from, and return how many; those from before are replaced."""
    files: defaultdict[str, defaultdict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for path, ranges in found.files.items():
        for part in ranges:
            if part.commit:
                files[part.commit][path].append((part.first, part.last))
    notes = {commit: _note(view, found, commit, files[commit]) for commit in files}
    texts = {commit: (json.dumps(note) + "\n").encode("ascii") for commit, note in notes.items()}
    write_notes(view.git, NOTES, texts, f"provenance of the lines at {view.head}")
    return len(texts)


def _note(view: View, found: AllLines, commit: str, files: dict[str, list[tuple[int, int]]]) -> NoteJson:
    by = found.written[commit]
    return {
        "version": 1, "revision": view.head, "run": by.run, "task": by.task, "generation": by.generation,
        "agent": by.agent, "model": by.model, "files": dict(files),
    }  # fmt: skip


def export_files(found: Iterable[FileProvenance], out: Path) -> int:
    """Write `<path>.json` into a new folder for each file, and return how many. The folder appears whole or not at all.

    Raises:
        UsageError: the folder is there and not empty, or cannot be written, or two files would need one place.
    """
    files = list(found)
    folders = {str(parent) for file in files for parent in PurePosixPath(file.path).parents}
    if clash := next((file.path for file in files if f"{file.path}.json" in folders), None):
        raise UsageError(
            f"{clash}.json would be a file and a folder, since there are {clash} and files below {clash}.json.",
            hint="Export them one by one: orch blame PATH --export DIR.",
        )
    out = out.absolute()
    try:
        if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
            raise UsageError(f"{out} is not an empty folder.", hint="Name a new one with --export.")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name[:50]}-", dir=out.parent) as staging:
            folder = Path(staging) / "files"  # a folder of its own, for the usual permissions
            folder.mkdir()
            for file in files:
                place = folder / f"{file.path}.json"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(json.dumps(file.as_json(), indent=1) + "\n", encoding="ascii")
            folder.replace(out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}.", hint="Name another one with --export."
        ) from error
    return len(files)

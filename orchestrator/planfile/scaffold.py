"""A first plan for a repository, from what lies in it: a place to begin, and not an end. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["scaffold"]

_TRACKS = 8
_NO_TERRITORY = frozenset(
    {"docs", "doc", "scripts", "tools", "bin", "vendor", "third_party", "node_modules", "dist", "build"}
)
_PYTHON_TEST = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py")
_GATES = (
    ("package.json", "tests", "npm test"),
    ("Cargo.toml", "tests", "cargo test --quiet"),
    ("go.mod", "tests", "go test ./..."),
    ("Makefile", "tests", "make test"),
)


def scaffold(name: str, paths: Collection[str]) -> str:
    """Return the text of a plan with comments, for a repository that holds these paths; it is valid as it stands."""
    tracks = _tracks(paths)
    gate = next(((label, run) for file, label, run in _GATES if file in paths), None)
    if any(_PYTHON_TEST.fullmatch(path) for path in paths):  # without any, pytest fails: no test ran
        gate = ("tests", "python3 -m pytest -q")
    lines = [
        "# A plan for orch. `orch check plan.yaml` says what is wrong with it; docs/plan.md of orch has every key.",
        "version: 1",
        f"name: {name}",
        "",
        "# Agreed before any agent starts, and read-only for all: interfaces, types, behaviours.",
        "# contracts:",
        "#   files:",
        '#     contracts/user.md: "A missing user is an error, never nothing."',
        "",
        "# Exclusive territory: no path may belong to two tracks.",
        "tracks:",
        *(f'  {track}: {{owns: ["{folder}/**"]}}' for track, folder in tracks),
        "",
        "agents:",
        "  default: {kind: script}      # carries out the steps below; to let a model do the work, for example:",
        "  # coder: {kind: anthropic, model: claude-sonnet-5-5}",
        "  # coder: {kind: command, preset: claude}",
        "",
        "tasks:",
    ]
    for number, (track, folder) in enumerate(tracks, start=1):
        lines += [
            f"  - id: T-{number}",
            f"    title: Say what is to be done in {folder}",
            f"    track: {track}",
            "    # agent: coder",
            "    # prompt: |",
            "    #   What to do, and how it is known to be done.",
            f'    steps: [{{report: "nothing is planned for {folder} yet"}}]',
        ]
    if gate:
        lines += [
            "",
            "# What must succeed on every merged state.",
            "gates:",
            f'  - {{name: {gate[0]}, run: "{gate[1]}", timeout: 10m}}',
        ]
    else:
        lines += ["", "# gates:", '#   - {name: tests, run: "make test"}   # must succeed on every merged state']
    return "\n".join(lines) + "\n"


def _tracks(paths: Collection[str]) -> Sequence[tuple[str, str]]:
    """Return names and folders of some territories: the folders that hold the most files."""
    counts: dict[str, int] = {}
    for path in paths:
        folder, slash, _ = path.partition("/")
        if slash and folder.lower() not in _NO_TERRITORY and _is_plain(folder):
            counts[folder] = counts.get(folder, 0) + 1
    most = sorted(counts, key=lambda folder: (-counts[folder], folder))[:_TRACKS]
    return [(folder.lower(), folder) for folder in sorted(most)] or [("main", "src")]


def _is_plain(folder: str) -> bool:
    return folder.isascii() and folder.replace("_", "").replace("-", "").isalnum()

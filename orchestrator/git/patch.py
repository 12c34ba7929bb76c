"""Patches for people to read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.git.command import Git

__all__ = ["readable_patch"]


def readable_patch(git: Git, base: str, head: str, paths: Sequence[str]) -> bytes:
    """Return what differs at these paths; of a file that is binary or longer than 256 KiB, only that it does.

    Raises:
        GitError: one of the commits is not here.
    """
    bounded = replace(git, config={**git.config, "core.bigFileThreshold": "256k"})
    options = ("--no-renames", "--ignore-submodules=none", "--no-ext-diff", "--no-textconv")
    return bounded.run("diff-tree", "-r", "-p", *options, base, head, "--", *paths).out

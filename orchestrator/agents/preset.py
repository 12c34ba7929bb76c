"""Presets: how a known coding program is started, told of its boundary and the board, and understood. They are files, not code.

`docs/agents.md` describes the format. Where one is looked for: beside the plan, if its name ends with `.yaml`; then
in `~/.config/orch/presets`; then among those that come with orch.
"""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field, ValidationError, field_validator

from orchestrator.agents.filling import names_in
from orchestrator.agents.native_scope import NAMES
from orchestrator.agents.troubles import TroubleRules
from orchestrator.errors import PlanError
from orchestrator.model.plan import Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.agents.troubles import Trouble

__all__ = ["VALUES", "Preset", "Rule", "find_preset", "preset_names", "trouble_in"]

VALUES = (
    "program", "worktree", "worktree_regex", "home", "tmp", "prompt", "prompt_file", "model", "model_name", "cost_usd", "turns",
    "board_url", "board_token", "session", "confined", *NAMES,
)  # fmt: skip
"""What templates can name, beside the variables in `keys`."""
_LARGEST = 1 << 20


class CalledRule(Strict):
    """Where a tool call stands in an event."""

    call: str
    tool: str
    arguments: str | None = None


class ReturnedRule(Strict):
    """Where the answer to a tool call stands; it failed if what lies at the paths of `failed` is what is given there."""

    call: str
    text: str | None = None
    failed: dict[str, Any] = Field(default={})


class UsedRule(Strict):
    """Where the numbers stand; several paths are added up. `input_tokens` count cached ones, too."""

    model: str | None = None
    input_tokens: tuple[str, ...] = ()
    cached_tokens: tuple[str, ...] = ()
    output_tokens: tuple[str, ...] = ()
    usd: str | None = None


class Rule(Strict):
    """What a line means in which `when` fits; with `each`, every item of a list or mapping in it in which `where` fits."""

    when: dict[str, Any]
    each: str | None = None
    where: dict[str, Any] = Field(default={})
    turned: str | None = None
    said: str | None = None
    piece: str | None = None
    called: CalledRule | None = None
    returned: ReturnedRule | None = None
    used: UsedRule | None = None
    session: str | None = None
    summary: str | None = None
    failure: str | None = None
    reset: str | None = None


class Preset(Strict):
    """One coding program."""

    program: str = Field(min_length=1, description="what is looked for on PATH")
    install: str = Field(min_length=1, description="the command that installs it, with a version")
    argv: tuple[Any, ...] = Field(min_length=1, description="its command line; lists in it are groups")
    resume: tuple[Any, ...] = Field(default=(), description="the command line that goes on with a session")
    env: dict[str, str] = Field(default={})
    keys: tuple[str, ...] = Field(default=(), description="variables that it gets from orch's own environment")
    files: dict[str, Any] = Field(default={}, description="path in its home to content")
    board: bool = Field(default=True, description="whether it can use the board's tools")
    model: str | None = Field(default=None, description="the model, if the plan names none")
    provider: str | None = Field(default=None, description="whose prices count, if it does not say what it costs")
    events: tuple[Rule, ...] = ()
    troubles: TroubleRules = Field(default=TroubleRules(), description="how it says that its provider is to blame")

    @field_validator("argv", "resume")
    @classmethod
    def _words(cls, words: tuple[Any, ...]) -> tuple[Any, ...]:
        for word in words:
            if isinstance(word, list):
                cls._words(tuple(word))
            elif not isinstance(word, str):
                raise ValueError(f"{word!r} is no text; put it in quotes")  # noqa: TRY004 - pydantic reports ValueErrors
        return words

    @field_validator("files")
    @classmethod
    def _paths(cls, files: dict[str, Any]) -> dict[str, Any]:
        for path in files:
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path!r} leads out of the program's home; write a path below it")
        return files

    def unknown_names(self) -> list[str]:
        """Return the names in templates that stand for nothing."""
        parts = (list(self.argv), list(self.resume), self.env, self.files)
        known = {*VALUES, *self.keys}
        return sorted({name for part in parts for name in names_in(part)} - known)


def find_preset(name: str, sources: Mapping[str, bytes]) -> Preset:
    """Return a preset by its name, or by the file beside the plan.

    Raises:
        PlanError: there is none of that name, or it cannot be read.
    """
    if name.endswith(".yaml"):
        return _read(name, sources[name])
    own = _own_folder() / f"{name}.yaml"
    if own.is_file():
        return _read(str(own), own.read_bytes())
    if name not in _built_in():
        known = ", ".join(preset_names())
        raise PlanError(
            name, [f"no preset is called {name!r}; known: {known}; or write the name of a .yaml file beside the plan"]
        )
    return _read(f"preset {name}", (resources.files("orchestrator.agents") / "presets" / f"{name}.yaml").read_bytes())


def trouble_in(said: str, now: float) -> Trouble | None:
    """Return the trouble with a provider that any program known to orch would tell of in these words, at `now` (epoch)."""
    found = [find_preset(name, {}).troubles.find(said, "", now) for name in sorted(_built_in())]
    known = [trouble for trouble in found if trouble is not None]
    return min(known, key=lambda trouble: trouble.seconds is None, default=None)  # not all read when it is over


def preset_names() -> list[str]:
    """Return the names of all presets that can be named here without a file beside the plan."""
    own = {path.stem for path in _own_folder().glob("*.yaml")} if _own_folder().is_dir() else set()
    return sorted({*own, *_built_in(), "claude-sdk"})


def _built_in() -> set[str]:
    folder = resources.files("orchestrator.agents") / "presets"
    return {entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")}


def _own_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "orch" / "presets"


def _read(where: str, data: bytes) -> Preset:
    try:
        preset = Preset.model_validate_json(json.dumps(yaml.safe_load(data[:_LARGEST])))
    except yaml.YAMLError as error:
        raise PlanError(where, [f"{where}: it is no YAML: {' '.join(str(error).split())}"]) from error
    except ValidationError as error:
        raise PlanError(
            where, [_sentence(where, fault["loc"], fault["msg"], fault["type"]) for fault in error.errors()]
        ) from error
    if unknown := preset.unknown_names():
        shown = ", ".join(f"{{{name}}}" for name in unknown)
        known = ", ".join(VALUES)
        raise PlanError(where, [f"{where}: {shown} stands for nothing; known are the variables in 'keys', and {known}"])
    return preset


def _sentence(where: str, place: tuple[int | str, ...], message: str, kind: str) -> str:
    at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    said = {
        "missing": "this key is missing",
        "extra_forbidden": "this key is not known here",
    }.get(kind, message.removeprefix("Value error, "))
    return f"{where}: {at or 'the file'}: {said}"

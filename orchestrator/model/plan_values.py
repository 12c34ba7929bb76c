"""The single values a plan is made of: durations, paths, globs, names, each with the sentence that refuses a wrong one.

A validator here raises `ValueError` with a sentence for the plan's author; `planfile` adds file, line and key.
It must be `ValueError` for a wrong type, too: pydantic reports no other.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from orchestrator.model import globs

__all__ = [
    "CLASS_REFERENCE",
    "NAME",
    "PLAN_NAME",
    "BranchName",
    "ClassReference",
    "Command",
    "Duration",
    "GlobText",
    "Label",
    "Name",
    "Network",
    "Positive",
    "RepoPath",
    "Strict",
    "TaskName",
    "VariableName",
    "described",
    "parse_duration",
    "repository_path",
]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
PLAN_NAME = r"^[a-z0-9][a-z0-9-]*$"
CLASS_REFERENCE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER_AND_UNIT = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)"
_DURATION = re.compile(f"(?:{_NUMBER_AND_UNIT})+")
_DURATION_PART = re.compile(_NUMBER_AND_UNIT)
_LONGEST_DAYS = 366
_LONGEST_PART = 255  # bytes; what ext4, APFS and NTFS allow for one name
_SHOWN = 60
# What `git check-ref-format` refuses inside a name, apart from the places where a dot may stand.
_NOT_IN_A_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


class Strict(BaseModel):
    """A value of the plan: unknown keys are refused, nothing is coerced, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def described(value: object) -> str:
    """Return how a sentence speaks of a value that stands in the plan: `'text'`, `30`, `a list`, `nothing`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, BaseModel)):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def parse_duration(text: object) -> float:
    """Return the seconds that `30m`, `90s`, `1h30m` or `200ms` stand for.

    Raises:
        ValueError: it is something else, or longer than a year; the message shows what to write.
    """
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError(
            f"{described(text)} is not a duration; write a number with a unit, such as 200ms, 30s, 10m or 4h"
        )
    seconds = sum(float(n) * _UNIT_SECONDS[unit] for n, unit in _DURATION_PART.findall(text))
    if seconds > _LONGEST_DAYS * _UNIT_SECONDS["d"]:
        raise ValueError(f"{described(text)} is longer than {_LONGEST_DAYS} days; write a shorter time")
    return seconds


def _positive_duration(text: object) -> float:
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError(f"{described(text)} is no time at all; write a longer one, such as 30s, or leave the key out")
    return seconds


def repository_path(text: object) -> str:
    """Return the path if it names a file inside a repository, `/` separated and relative to its root.

    Raises:
        ValueError: it is absolute, leaves the repository, names git's own folder, or is no path at all.
    """
    if text is None or text == "":
        raise ValueError("a path is missing; write it relative to the repository's root, such as src/app.py")
    shown = described(text)
    if not isinstance(text, str):
        raise ValueError(f"{shown} is no path; write one in quotes, such as 'src/app.py'")  # noqa: TRY004 - see above
    if text.startswith("/") or re.match(r"[A-Za-z]:[\\/]", text):
        raise ValueError(f"{shown} is an absolute path; write it relative to the repository's root")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError(f"{shown} holds a control character; rename the file")
    parts = text.split("/")
    if ".." in parts:
        raise ValueError(f"{shown} leaves the repository with '..'; write the path below the repository's root")
    if any(p.lower().rstrip(". ") in {".git", "git~1"} for p in parts):  # the spellings that Windows takes for .git
        raise ValueError(f"{shown} lies in git's own folder; no task may write there")
    if "" in parts or "." in parts:
        raise ValueError(f"{shown} has an empty or '.' part; write it as git prints it, such as src/app.py")
    if any(len(p.encode(errors="surrogatepass")) > _LONGEST_PART for p in parts):
        raise ValueError(f"{shown} has a part of more than {_LONGEST_PART} bytes; no file system takes that name")
    return text


def _scope_glob(text: object) -> str:
    if not isinstance(text, str) or not text:
        found = described(text) if text != "" else "an empty text"
        raise ValueError(f"{found} is no glob; write a path or a pattern in quotes, such as 'src/auth/**'")
    repository_path(text.removeprefix("!").removesuffix("/"))
    if why := globs.problem(text):
        raise ValueError(why)
    return text


def _fits_a_branch(text: str) -> str:
    if ".." in text or text.endswith((".", ".lock")):
        raise ValueError(
            f"{described(text)} cannot be part of a branch's name (git refuses '..', and '.' or '.lock' at the end);"
            " choose another id"
        )
    return text


def _label(text: str) -> str:
    if not text or not text.isprintable() or text != text.strip() or len(text) > 100:
        raise ValueError(f"{described(text)} is not a name; use one line of 1 to 100 visible characters")
    return text


def _branch(text: str) -> str:
    parts = text.split("/")
    bad_part = any(not p or p.startswith(".") or p.endswith(".lock") for p in parts)
    if _NOT_IN_A_BRANCH.search(text) or bad_part or text.startswith("-") or text.endswith(".") or text == "@":
        raise ValueError(f"{described(text)} is no branch's name; write it as `git branch` prints it, such as main")
    return text


def _command(value: object) -> object:
    if value is None:
        return value
    words = value if isinstance(value, (list, tuple)) else (value,)
    wrong = next((w for w in words if not isinstance(w, str)), None)
    if wrong is not None or None in words:
        raise ValueError(f"{described(wrong)} is no part of a command; write each part as text, in quotes")
    if not words or not str(words[0]).strip():
        raise ValueError("the command is empty; write the program and its arguments, such as ['gemini', '--acp']")
    return tuple(value) if isinstance(value, list) else value


def _network(value: object) -> object:
    if value == "open":
        return value
    ports = value if isinstance(value, (list, tuple)) else (value,)
    if any(type(port) is not int or not 0 < port < 1 << 16 for port in ports) or value is None:
        raise ValueError(f"{described(value)} is no network; write open, or a list of TCP ports, such as [443]")
    return tuple(ports)


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith(("ORCH_", "GIT_")):
        raise ValueError(
            f"{described(name)} is no variable that can be passed on; write a name such as OPENAI_API_KEY (those that begin with"
            " ORCH_ or GIT_ are orch's to set)"
        )
    return name


_DURATION_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": f"^{_DURATION.pattern}$".replace("?:", ""), "examples": ["200ms", "30s", "1h30m"]}
)
Duration = Annotated[float, BeforeValidator(parse_duration), _DURATION_SCHEMA]
"""Seconds, written as `30m`, `90s`, `1h30m` or `200ms`."""
Positive = Annotated[float, BeforeValidator(_positive_duration), _DURATION_SCHEMA]
"""A duration that is longer than nothing."""
RepoPath = Annotated[str, BeforeValidator(repository_path)]
GlobText = Annotated[str, BeforeValidator(_scope_glob)]
Name = Annotated[str, Field(pattern=NAME, max_length=100)]
TaskName = Annotated[Name, AfterValidator(_fits_a_branch)]
"""A name that can be a part of a branch's name."""
Label = Annotated[str, AfterValidator(_label)]
"""One printable line: it ends up in commit trailers."""
BranchName = Annotated[str, AfterValidator(_branch)]
ClassReference = Annotated[str, Field(pattern=CLASS_REFERENCE)]
"""`package.module:Class`."""
Command = Annotated[str | tuple[str, ...] | None, BeforeValidator(_command)]
"""A shell command as text, or a program and its arguments."""
Network = Annotated[Literal["open"] | tuple[int, ...], BeforeValidator(_network)]
"""`open`, or the TCP ports that programs may connect to."""
VariableName = Annotated[str, AfterValidator(_variable)]
"""The name of a variable of the environment, none of which is set by this program itself."""

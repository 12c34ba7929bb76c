"""The steps of a script task as values; the one key of a step says which it is (`docs/plan.md`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from orchestrator.model.plan_values import Duration, GlobText, RepoPath, Strict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "STEP_NAMES",
    "ApplyPatch",
    "AskPerson",
    "ClaimTodo",
    "DeleteFile",
    "Fail",
    "FileText",
    "FinishTodo",
    "OnlyWhen",
    "Report",
    "RunCommand",
    "Sleep",
    "Step",
    "StreamFile",
    "StreamedText",
    "When",
    "WidenScope",
    "WriteFile",
    "each_step",
    "source_of",
]


class FileText(Strict):
    """A file and its text: written in the plan, or read from a file beside it (`from`)."""

    path: RepoPath = Field(description="the file's path in the repository")
    text: str | None = None
    source: str | None = Field(default=None, alias="from", min_length=1, description="a file beside the plan")

    @model_validator(mode="after")
    def _exactly_one(self) -> FileText:
        if (self.text is None) == (self.source is None):
            raise ValueError("a 'write' step needs 'path' and either 'text' or 'from'")
        return self


class StreamedText(FileText):
    """Text that is written as a model writes: so many tokens of four characters a second, at a marker or at the end."""

    marker: str | None = Field(default=None, description="the name behind `TODO:` of the comment that it replaces")
    rate: float = Field(default=60.0, gt=0, le=100_000, allow_inf_nan=False, description="tokens a second")


class When(Strict):
    """Steps that only one generation runs."""

    generation: int = Field(ge=1, description="the attempt that runs them, counted from 1")
    do: tuple[Step, ...] = Field(description="the steps")


class WriteFile(Strict):
    """Step: write a file, creating folders."""

    write: FileText


class StreamFile(Strict):
    """Step: write on in a file, bit by bit; in mode crdt into the text that all share."""

    stream: StreamedText


class DeleteFile(Strict):
    """Step: delete a file."""

    delete: RepoPath


class ApplyPatch(Strict):
    """Step: apply a git patch (`git diff --binary` form), its path relative to the plan file."""

    patch: str = Field(min_length=1)


class RunCommand(Strict):
    """Step: run a shell command; a non-zero exit fails the attempt."""

    run: str = Field(min_length=1)


class ClaimTodo(Strict):
    """Step: claim a TODO on the board."""

    claim: str


class FinishTodo(Strict):
    """Step: report a claimed TODO as done."""

    done: str


class Report(Strict):
    """Step: say something on the board."""

    report: str


class WidenScope(Strict):
    """Step: ask for a wider scope; a refusal fails the attempt."""

    widen: tuple[GlobText, ...] = Field(min_length=1)


class AskPerson(Strict):
    """Step: ask a person on the board, and wait for the answer."""

    ask: str = Field(min_length=1)


class Sleep(Strict):
    """Step: wait; seconds."""

    sleep: Duration


class Fail(Strict):
    """Step: end this attempt as failed, with a reason."""

    fail: str


class OnlyWhen(Strict):
    """Step: run steps in one generation only."""

    when: When


STEP_NAMES = (
    "write",
    "stream",
    "delete",
    "patch",
    "run",
    "claim",
    "done",
    "report",
    "widen",
    "ask",
    "sleep",
    "fail",
    "when",
)


def _step_tag(value: object) -> str | None:
    """Return which step a mapping (or a step) is, by its one key."""
    if isinstance(value, dict):
        return next((f"step-{k}" for k in value if k in STEP_NAMES), None)
    return next((f"step-{k}" for k in STEP_NAMES if hasattr(value, k)), None)


Step = Annotated[
    Annotated[WriteFile, Tag("step-write")]
    | Annotated[StreamFile, Tag("step-stream")]
    | Annotated[DeleteFile, Tag("step-delete")]
    | Annotated[ApplyPatch, Tag("step-patch")]
    | Annotated[RunCommand, Tag("step-run")]
    | Annotated[ClaimTodo, Tag("step-claim")]
    | Annotated[FinishTodo, Tag("step-done")]
    | Annotated[Report, Tag("step-report")]
    | Annotated[WidenScope, Tag("step-widen")]
    | Annotated[AskPerson, Tag("step-ask")]
    | Annotated[Sleep, Tag("step-sleep")]
    | Annotated[Fail, Tag("step-fail")]
    | Annotated[OnlyWhen, Tag("step-when")],
    Discriminator(
        _step_tag,
        custom_error_type="unknown_step",
        custom_error_message=f"a step is a mapping with one of the keys {', '.join(STEP_NAMES)}",
    ),
]
"""One step of a script task."""


def each_step(steps: Iterable[Step], where: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Step]]:
    """Yield every step with the keys and indices that lead to it, those under a `when` behind it."""
    for index, step in enumerate(steps):
        yield (*where, index), step
        if isinstance(step, OnlyWhen):
            yield from each_step(step.when.do, (*where, index, "when", "do"))


def source_of(step: Step) -> tuple[tuple[str, ...], str] | None:
    """Return the file beside the plan that a step names, with the keys that name it; None if it names none."""
    match step:
        case ApplyPatch(patch=source):
            return ("patch",), source
        case WriteFile(write=FileText(source=str(source))):
            return ("write", "from"), source
        case StreamFile(stream=FileText(source=str(source))):
            return ("stream", "from"), source
        case _:
            return None


When.model_rebuild()  # it holds steps, which are defined after it

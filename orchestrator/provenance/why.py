"""How one line came about: the task, what was asked for, which gates it passed, what it cost, and where to read on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.git import query
from orchestrator.model.finding import Severity
from orchestrator.model.text import clean_text, printable
from orchestrator.provenance.lines import origins
from orchestrator.provenance.records import GenerationId, read_records_of_runs
from orchestrator.provenance.share import BY_HAND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.model.finding import CheckResult
    from orchestrator.model.formats import GateOutcomeJson, WhyJson
    from orchestrator.model.plan import Task
    from orchestrator.provenance.lines import Origin
    from orchestrator.provenance.records import Record
    from orchestrator.provenance.view import View

__all__ = ["Why", "why"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One line, and all that is still known of how it came about.

    `record` and `task` are None if the run's folder does not tell them any more; then `unknown` says so, each in a sentence.
    """

    path: str
    origin: Origin
    subject: str
    record: Record | None
    task: Task | None
    unknown: tuple[str, ...]

    def as_json(self) -> WhyJson:
        """Return the published form (`contracts/blame.schema.json`)."""
        record, by = self.record, self.origin.provenance
        return {
            "path": self.path,
            **self.origin.as_json(),
            "subject": self.subject,
            "was": {"run": was.run, "task": was.task, "generation": was.generation}
            if (was := self.origin.was)
            else None,
            "title": self.task.title if self.task else None,
            "prompt": self.task.prompt if self.task else None,
            "gates": [self._gate_as_json(name, result) for name, result in record.gates.items()] if record else None,
            "landed": record.landed if record else None,
            "transcript": str(record.transcript) if record and record.transcript else None,
            "seconds": round(record.seconds, 3) if record else None,
            "cost_usd": round(record.cost_usd, 6) if record else None,
            "branch": by.work_product.removeprefix("refs/heads/") if by else None,
            "unknown": list(self.unknown),
        }

    @staticmethod
    def _gate_as_json(name: str, result: CheckResult) -> GateOutcomeJson:
        return {"name": name, "passed": result.passed, "outcome": _outcome(result)}

    def as_text(self) -> Iterator[str]:
        """Yield it for people."""
        origin, by = self.origin, self.origin.provenance
        yield f"{printable(self.path)}:{origin.line}: {printable(origin.text)}"
        if by is None:
            yield _row("written", BY_HAND)
            yield _row("commit", f"{origin.commit} {self.subject}")
            if origin.was:
                yield _row("before", f"a line of {origin.was.task} gen {origin.was.generation}, run {origin.was.run}")
        else:
            yield _row("task", by.task + (f": {clean_text(self.task.title)}" if self.task and self.task.title else ""))
            yield _row("run", by.run)
            yield _row("generation", str(by.generation))
            yield _row("agent", f"{by.agent} {by.model}")
            yield _row("commit", f"{origin.commit} {self.subject}")
            yield from self._of_the_run()
        yield from (f"Not known: {sentence}." for sentence in self.unknown)

    def _of_the_run(self) -> Iterator[str]:
        if self.record is not None:
            if self.record.landed:
                yield _row("landed as", self.record.landed)
            for name, result in self.record.gates.items():
                yield _row("gate", f"{name}: {_outcome(result)}")
            if self.record.transcript:
                yield _row("transcript", str(self.record.transcript))
            cost = f"${self.record.cost_usd:.2f}" if self.record.cost_usd else "none was reported"
            yield _row("cost", f"{cost}; {self.record.seconds:.1f} s of the agent")
        if self.task is not None:
            yield _row("prompt", "" if self.task.prompt else "none")
            yield from (f"    {printable(line)}" for line in self.task.prompt.splitlines())


def why(view: View, folders: Iterable[Path], path: str, line: int) -> Why:
    """Return how a line came about; `folders` are those of the runs that the repository remembers.

    Raises:
        GitError: there is no such file or line.
    """
    (origin,) = origins(view, path, (line, line))
    by = origin.provenance
    message = query.commit_record(view.git, origin.commit).message
    subject = clean_text(message.partition("\n")[0])
    if by is None:
        return Why(path=path, origin=origin, subject=subject, record=None, task=None, unknown=())
    if by.task == "contracts":
        unknown = ("the contracts are what the plan says; no agent was asked, and no gate was run",)
        return Why(path=path, origin=origin, subject=subject, record=None, task=None, unknown=unknown)
    records = read_records_of_runs(folders, by.run)
    record = records.of.get(GenerationId.of(by))
    task = record.task(by.task) if record else None
    return Why(
        path=path, origin=origin, subject=subject, record=record, task=task,
        unknown=tuple(_unknown(record, task, records.why_unknown(by.run))),
    )  # fmt: skip


def _unknown(record: Record | None, task: Task | None, why_unknown: str) -> Iterator[str]:
    if record is None:
        yield f"the prompt, the gates, the transcript and the cost, since {why_unknown}"
        return
    if task is None:
        yield "the prompt, since the plan that the run kept is gone, or cannot be read any more"
    if not record.gates:
        yield "gates, since the journal has no verdict of one: perhaps the plan had none then"
    if record.transcript is None or not record.transcript.is_file():
        yield "what the transcript said, since it is gone"


def _outcome(result: CheckResult) -> str:
    how = "known from before" if result.cached else f"{result.seconds:.1f} s"
    warnings = [clean_text(v.message) for v in result.violations if v.severity is Severity.WARNING]
    errors = [clean_text(v.message) for v in result.violations if v.severity is Severity.ERROR]
    return f"{'passed' if result.passed else 'failed'} ({how}){''.join(f'; {text}' for text in errors or warnings)}"


def _row(name: str, value: str) -> str:
    return f"  {name:11} {value}".rstrip()

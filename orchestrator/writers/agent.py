"""The agent of mode crdt: it lets the plan's agents write into shared files, and hands in what each of them wrote."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.agents.script import ScriptAgent
from orchestrator.board.files import RUN
from orchestrator.effects import reached
from orchestrator.errors import BoardError
from orchestrator.files import Elsewhere, text_in, write_whole
from orchestrator.model.outcome import Outcome, OutcomeStatus
from orchestrator.model.shares import Share, line_authors, states
from orchestrator.model.together import files_of, parts_of
from orchestrator.writers.observer import Observer
from orchestrator.writers.script import ScriptWriter
from orchestrator.writers.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.agents.base import Assignment
    from orchestrator.model.plan import AgentSpec, Plan
    from orchestrator.writers.work import Writer

__all__ = ["TogetherAgent"]

_OF_THE_PLAN = "plan"
"""Who wrote the text with which a shared file begins, as far as provenance knows agents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TogetherAgent:
    """Runs one attempt of all parts; `plan` is the author's, with its tasks apart, `sources` the files that it names."""

    plan: Plan
    sources: Mapping[str, bytes]
    jobs: int

    credential = None

    @property
    def model(self) -> str:
        """The models that write, for the commit that lands them together."""
        return ",".join(sorted({_writer(spec).model for spec in self._specs().values()}))

    async def work(self, assignment: Assignment) -> Outcome:
        """Let everybody write, then put the files into the worktree."""
        started = time.monotonic()
        writers = {name: _writer(spec) for name, spec in self._specs().items()}
        observer = Observer(door=assignment.shared)
        session = Session(
            plan=self.plan,
            parts=parts_of(self.plan),
            writers=writers,
            observer=observer,
            assignment=assignment,
            jobs=self.jobs,
        )
        try:
            for path in files_of(self.plan):
                before = text_in(assignment.folder, path)
                await observer.open(path, before, self._beginning(path, before))
            outcome = await session.write()
            observer.mirror(assignment.folder)
            if outcome.done:
                outcome = replace(outcome, shares=self._shares(session, observer, writers))
                self._note_authors(session, observer, assignment)
        except (BoardError, Elsewhere, UnicodeDecodeError) as error:
            again = isinstance(error, BoardError)  # what stands in the repository is there in the next attempt, too
            outcome = Outcome(status=OutcomeStatus.FAILED, reason=f"the shared files: {error}", final=not again)
        finally:
            await observer.close()
        return replace(
            outcome,
            seconds=time.monotonic() - started,
            cost_usd=sum(each.cost_usd for each in session.spent),
            tokens=sum(each.tokens for each in session.spent),
            turns=sum(each.turns for each in session.spent),
        )

    def _specs(self) -> dict[str, AgentSpec]:
        """Return how the agents that write are started, by name."""
        named = {task.agent for task in self.plan.tasks} | {self.plan.crdt.outliner, self.plan.crdt.reconciler}
        tasks = {task.agent: task for task in self.plan.tasks}
        return {
            name: self.plan.agents[name] if name in self.plan.agents else self.plan.agent_of(tasks[name])
            for name in named
            if name is not None
        }

    def _beginning(self, path: str, before: str) -> str:
        file = self.plan.crdt.files.get(path)
        if file is None:
            return before
        return file.text if file.text is not None else self.sources[file.source or ""].decode("utf-8")

    def _shares(self, session: Session, observer: Observer, writers: Mapping[str, Writer]) -> tuple[Share, ...]:
        """Return the chain of what was written: first what the plan begins with, then part after part as they were done."""
        spans = {path: [(s.start, s.end, s.author) for s in file.hub.ranges()] for path, file in observer.files.items()}
        parts = {done.author: done for done in session.done}
        others = {author: None for found in spans.values() for _, _, author in found if author not in {RUN, *parts}}
        order = [RUN, *parts, *others]
        chains: dict[str, Sequence[str]] = {
            path: states(file.began, file.text(), line_authors(file.text(), spans[path]), order)
            for path, file in observer.files.items()
        }
        shares = []
        for number, author in enumerate(order):
            files = {
                path: chain[number].encode()
                for path, chain in chains.items()
                if chain[number] != (chain[number - 1] if number else observer.files[path].began)
            }
            if not files:
                continue
            if author not in parts:
                shares.append(_share_of_nobody(session, author, files))
                continue
            done = parts[author]
            shares.append(
                Share(
                    task=done.part.task, title=f"{done.part.id}: {done.part.title}", agent=done.part.agent,
                    model=writers[done.part.agent].model, session=done.session, files=files, summary=done.outcome.summary,
                )
            )  # fmt: skip
        return tuple(shares)

    def _note_authors(self, session: Session, observer: Observer, assignment: Assignment) -> None:
        """Write down who wrote which characters, for `orch blame --chars`."""
        people = {
            done.author: {"part": done.part.id, "task": done.part.task, "agent": done.part.agent}
            for done in session.done
        }
        for path, file in observer.files.items():
            known = {
                "path": path,
                "text": file.text(),
                "writers": people,
                "spans": [[span.start, span.end, span.author] for span in file.hub.ranges()],
            }
            place = assignment.run_folder / "authors" / f"{path}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, json.dumps(known).encode())
            reached("authors-noted")


def _share_of_nobody(session: Session, author: str, files: Mapping[str, bytes]) -> Share:
    """Return the share of the plan's own text, or of a person who wrote in the page."""
    task, mine = session.assignment.task, author == RUN
    return Share(
        task=task.id, title=f"{task.id}: {'what the shared files begin with' if mine else f'written by a {author}'}",
        agent=_OF_THE_PLAN if mine else author, model=ScriptAgent.model if mine else "by hand",
        session=session.assignment.session, files=files,
    )  # fmt: skip


def _writer(spec: AgentSpec) -> Writer:
    if spec.kind != "anthropic":
        return ScriptWriter()
    from orchestrator.writers.model import ModelWriter  # what talks with models is only for those who need it

    return ModelWriter(spec)

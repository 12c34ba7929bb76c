"""What runs leave in a repository, item by item: what each is called, what became of it, and which refs could go."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.model import events as happened
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.state import TaskStatus
from orchestrator.model.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from orchestrator.model.state import RunState

__all__ = [
    "Generation",
    "Item",
    "Kind",
    "Story",
    "candidate_ref",
    "generation_of_folder",
    "generation_of_ref",
    "held_by_one",
    "is_run_name",
    "kind_of",
    "redundant",
    "stories",
    "unfinished",
    "why_kept",
    "why_not_landed",
]

_WHY = 200  # characters; the journal has it all
_RUN, _TASK, _NUMBER = "[A-Za-z0-9][A-Za-z0-9_-]*", "[A-Za-z0-9][A-Za-z0-9._-]*", "[1-9][0-9]*"
_REF = re.compile(
    f"refs/heads/orch/(?P<run>{_RUN})/(?P<task>{_TASK})/gen-(?P<number>{_NUMBER})"
    f"|refs/orch/(?P<run_>{_RUN})/(?P<task_>{_TASK})/gen-(?P<number_>{_NUMBER})/(?P<part>snapshot|agent-commits)"
)
_FOLDER = re.compile(
    rf"(?P<task>{_TASK})\.gen-(?P<number>{_NUMBER})|\.(?P<task_>{_TASK})\.gen-(?P<number_>{_NUMBER})\.trash"
)


class Kind(StrEnum):
    """What an item is."""

    LANDED = "landed attempt"
    SUBMITTED = "submitted attempt"  # its checks passed, and then it was not landed
    REFUSED = "refused attempt"
    FAILED = "failed attempt"  # the agent gave up, or took too long
    STOPPED = "stopped attempt"  # somebody stopped it, or its orchestrator was killed
    ATTEMPT = "attempt"  # still under way, or the journal does not say
    SNAPSHOT = "snapshot"
    AGENT_COMMITS = "agent commits"
    FOLDER = "kept folder"
    ASIDE = "set-aside files"


class Generation(NamedTuple):
    """One generation of one task of one run."""

    run: str
    task: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that was left and could be brought back: what a ref points at, or what a folder holds.

    `name` tells it from the others of its run; `start` is the commit that the attempt began from, empty if that is not known;
    `when` is in seconds since the epoch. Set-aside files belong to no generation. `repository` is where it is, if that is none of
    the user's: the one in which an architect worked.
    """

    generation: Generation | None
    name: str
    kind: Kind
    why: str
    when: int
    landed: bool = False
    ref: str = ""
    commit: str = ""
    folder: str = ""
    start: str = ""
    repository: str = ""

    @property
    def run(self) -> str:
        """The run that left it, or an empty text."""
        return self.generation.run if self.generation else ""

    @property
    def command(self) -> str:
        """The command that brings it back."""
        place = f"{self.run}/{re.sub('[/~]', '-', self.name)}".lstrip("/")
        how = f"--branch recovered/{place}" if self.ref and not self.repository else f"--to recovered/{place}"
        where = f"--repo {shlex.quote(self.repository)}" if self.repository else ""
        return " ".join(word for word in ("orch recover", self.run, "--item", self.name, how, where) if word)


def is_run_name(name: str) -> bool:
    """Tell whether a run can have this name."""
    return re.fullmatch(_RUN, name) is not None


def candidate_ref(run: str, task: str = "") -> str:
    """Return the ref that holds a task's candidate; without a task, what those of a run begin with."""
    return f"refs/orch/{run}/_candidate/{task}"  # no task is called so: what is below its name is its snapshots


def generation_of_ref(ref: str) -> tuple[Generation, str] | None:
    """Return whose work a ref keeps, and which part of it: empty for its branch, else `snapshot` or `agent-commits`."""
    found = _REF.fullmatch(ref)
    return (_generation(found["run"] or found["run_"], found), found["part"] or "") if found else None


def generation_of_folder(run: str, name: str) -> tuple[Generation, str] | None:
    """Return whose worktree a folder is, and whether it is the `folder` or the `trash`, which was about to be removed."""
    found = _FOLDER.fullmatch(name)
    return (_generation(run, found), "trash" if name.startswith(".") else "folder") if found else None


def _generation(run: str, found: re.Match[str]) -> Generation:
    return Generation(run, found["task"] or found["task_"], int(found["number"] or found["number_"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a journal tells of one generation.

    `ended` is why its task was given up while this was its newest generation, `remark` what was said of its worktree.
    """

    start: str = ""
    worktree: str = ""
    outcome: OutcomeStatus | None = None
    refusal: happened.Refused | None = None
    submitted: bool = False
    landed: bool = False
    ended: str = ""
    remark: str = ""


def stories(run: str, events: Iterable[happened.Event]) -> dict[Generation, Story]:
    """Return the story of each generation of a run."""
    told: dict[Generation, Story] = {}
    newest: dict[str, Generation] = {}
    for event in events:
        match event:
            case (
                happened.AttemptStarted()
                | happened.AttemptEnded()
                | happened.Submitted()
                | happened.Refused()
                | happened.Landed()
            ):
                newest[event.task] = key = Generation(run, event.task, event.generation)
                told[key] = _after(told.get(key, Story()), event)
            case happened.TaskEnded() if event.task in newest:
                told[newest[event.task]] = replace(told[newest[event.task]], ended=event.reason)
            case happened.Noticed():
                about = (key for key, story in told.items() if story.worktree and f" {story.worktree} " in event.text)
                told |= {key: replace(told[key], remark=event.text) for key in about}
    return told


def _after(
    story: Story,
    event: happened.AttemptStarted | happened.AttemptEnded | happened.Submitted | happened.Refused | happened.Landed,
) -> Story:
    match event:
        case happened.AttemptStarted():
            return replace(story, start=event.commit, worktree=event.worktree)
        case happened.AttemptEnded():
            return replace(story, outcome=event.status)
        case happened.Submitted():
            return replace(story, submitted=True)
        case happened.Refused():
            return replace(story, refusal=event)
        case happened.Landed():
            return replace(story, landed=True)


def kind_of(story: Story) -> Kind:
    """Return what became of a generation."""
    if story.landed:
        return Kind.LANDED
    if story.refusal is not None:
        if story.refusal.stopped:
            return Kind.STOPPED
        return Kind.REFUSED if story.outcome in {None, OutcomeStatus.DONE} else Kind.FAILED
    return Kind.SUBMITTED if story.submitted else Kind.ATTEMPT


def why_kept(story: Story | None) -> str:
    """Return why a generation's worktree was not removed, on one line."""
    if story is None or not story.remark:
        return why_not_landed(story)
    return clean_text(story.remark.partition(f"{story.worktree} is kept: ")[2] or story.remark, _WHY)


def why_not_landed(story: Story | None) -> str:
    """Return why a generation's work is not on the base branch, on one line."""
    if story is None:
        return "the run's journal does not tell"
    if story.landed:
        return "it has landed"
    reason = story.refusal.reason if story.refusal else story.ended
    return clean_text(reason, _WHY) or ("it waits to land" if story.submitted else "its attempt has not ended")


def unfinished(state: RunState) -> str:
    """Return why `orch resume` would go on with a run, so that what it left may still be needed; empty if it would not.

    Blocked tasks alone do not make a run unfinished: what they need has failed, and stays so.
    """
    if state.started is None:
        return ""
    if state.ended is None:
        return "it has not ended"
    cancelled = state.with_status(TaskStatus.CANCELLED)
    return f"{cancelled[0]} was cancelled and can still land" if cancelled else ""


def redundant(order: Iterable[str], contents: Mapping[str, Collection[str]]) -> list[str]:
    """Return which of the refs in `order` may go, one after the other, so that all contents stay with one that stays.

    `contents` says for each ref, those that must stay included, what it alone or another of them holds.
    """
    holders = _holders(contents.values())
    gone = []
    for ref in order:
        if all(holders[content] > 1 for content in contents[ref]):
            holders.subtract(contents[ref])
            gone.append(ref)
    return gone


def held_by_one(staying: Sequence[str], contents: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Return for each ref that stays how many contents only this one holds."""
    holders = _holders(contents[ref] for ref in staying)
    return {ref: sum(holders[content] == 1 for content in contents[ref]) for ref in staying}


def _holders(groups: Iterable[Collection[str]]) -> Counter[str]:
    return Counter(content for group in groups for content in group)

"""The values of the merge train: items and candidates, what is told to the train, and what it orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "BaseMoved",
    "Build",
    "Built",
    "Cancel",
    "Candidate",
    "Conflicted",
    "Enqueued",
    "Event",
    "Gate",
    "Gated",
    "Item",
    "Key",
    "Land",
    "Landed",
    "Order",
    "Refuse",
    "RefuseKind",
    "Rules",
    "Slow",
    "Status",
    "Stopped",
    "Train",
    "Verdict",
    "Withdrawn",
]


class Key(NamedTuple):
    """What tells one item from all others."""

    task: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Submitted work: a commit of one generation of a task; `needs` are the tasks that must land before it."""

    task: str
    generation: int
    commit: str
    needs: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        """What tells this item from all others."""
        return Key(self.task, self.generation)


class Verdict(StrEnum):
    """How a candidate's gates ended."""

    PASSED = "passed"
    FLAKED = "flaked"  # a gate failed and passed when it was run again on the same tree: the tree counts as passed
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    STOPPED = "stopped"  # no verdict: the gates were ended before they could give one


class Status(StrEnum):
    """Where a candidate stands."""

    BUILDING = "building"  # its merge was ordered
    BUILT = "built"  # it has a commit, and waits for a slot, or for a gate run that counts for it as well
    GATING = "gating"  # its gates run
    PASSED = "passed"  # its tree passed, and waits for what is ahead of it
    FAILED = "failed"  # its tree failed
    CONFLICTED = "conflicted"  # it does not merge with what it was to stand on
    LANDING = "landing"  # the base branch is being moved to it, or past it


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One item's work merged on top of a chain of others, which begins at the tip of the base branch.

    `number` is used once, so an answer about a candidate that has been given up cannot be taken for another's. `chain` has the
    items below it, the lowest first, and `on` the number of the candidate right below (None: the tip itself). A `point` is
    a candidate that has its own gate run; a pass counts for the candidates below it as well. One that is `aside` was slow, and
    others were let past it.
    """

    number: int
    key: Key
    on: int | None
    chain: tuple[Key, ...]
    status: Status = Status.BUILDING
    commit: str = ""
    verdict: Verdict | None = None
    point: bool = False
    aside: bool = False

    @property
    def lot(self) -> tuple[Key, ...]:
        """All items that its tree adds to the base branch, in the order in which they were merged."""
        return (*self.chain, self.key)

    @property
    def failing(self) -> bool:
        """Tell whether nothing should be built on it."""
        return self.status in {Status.FAILED, Status.CONFLICTED}


def _never(_one: str, _other: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the caller decides; it may give other rules at each step.

    `place` is the plan's order: every task that is enqueued, each after all that it needs. `independent` says of two tasks that
    neither can ever change how the other merges or what its gates say; it is symmetric. `window` is how many items may be
    worked on at most, `slots` how many gates may run at once, `batch` how many items may share one gate run.
    """

    place: Mapping[str, int]
    independent: Callable[[str, str], bool] = _never
    window: int = 8
    slots: int = 1
    batch: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """The merge train at one moment.

    `line` holds the items that have neither landed nor left, in train order, and `candidates` those that have been built or
    are being built, all on the tip `base`. `landing` is what an unanswered `Land` names. `window` is the current size. `running`
    are the numbers of all gates that were started and have not answered, those given up included.
    """

    base: str
    window: int
    line: tuple[Item, ...] = ()
    candidates: Mapping[Key, Candidate] = field(default_factory=dict)
    landing: tuple[Key, ...] = ()
    landed: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()  # tasks whose newest item left without landing
    leaving: frozenset[Key] = frozenset()  # withdrawn while they were landing
    passed_by: frozenset[Key] = frozenset()  # items that others were let past; that happens once to each
    newest: Mapping[str, int] = field(default_factory=dict)  # each task's greatest generation that was enqueued
    running: frozenset[int] = frozenset()
    built: int = 0  # how many candidates there ever were
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Enqueued:
    """Work was submitted. A newer generation takes the place of an older one; what is known already changes nothing."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """The answer to `Build`: the candidate is this commit."""

    number: int
    commit: str


@dataclass(frozen=True, slots=True)
class Conflicted:
    """The answer to `Build`: the item does not merge with what it was to stand on."""

    number: int


@dataclass(frozen=True, slots=True)
class Gated:
    """The answer to `Gate`, exactly one for each, also for one that was cancelled: a slot is free again."""

    number: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Landed:
    """The answer to `Land`: the base branch is at its last candidate."""


@dataclass(frozen=True, slots=True)
class BaseMoved:
    """The base branch is at another commit than we left it at; or, as the answer to `Land`: nothing was landed."""

    tip: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An item is no longer wanted; one that is landing goes only if that fails."""

    key: Key


@dataclass(frozen=True, slots=True)
class Slow:
    """The gates of a candidate take long: independent work may pass it by."""

    number: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The train is to start nothing more, for good."""


Event = Enqueued | Built | Conflicted | Gated | Landed | BaseMoved | Withdrawn | Slow | Stopped


@dataclass(frozen=True, slots=True)
class Build:
    """Merge the item's commit on top of commit `onto`, which holds the items of `chain` on top of the base branch."""

    number: int
    item: Item
    onto: str
    chain: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """Run the gates on a candidate, which will have this number again in the answer."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the gates of a candidate; their result is not wanted any more."""

    number: int


@dataclass(frozen=True, slots=True)
class Land:
    """Move the base branch from `old` to the commit of the last of these candidates, whose tree passed, by compare-and-swap.

    A candidate without a verdict was not gated alone; the gate run of a later one in the tuple counts for it.
    """

    old: str
    candidates: tuple[Candidate, ...]


class RefuseKind(StrEnum):
    """Why an item cannot land."""

    CONFLICT = "conflict"  # it does not merge with the base branch
    FAILED = "failed"  # merged with the base branch alone, it fails the gates
    TIMED_OUT = "timed-out"  # the same, because the gates took too long
    NEED = "need"  # a task that it needs has not landed, and will not


@dataclass(frozen=True, slots=True)
class Refuse:
    """Give an item back: this is proved on top of `base`, the tip of the base branch, by the candidate of this number."""

    item: Item
    kind: RefuseKind
    base: str
    number: int | None


Order = Build | Gate | Cancel | Land | Refuse

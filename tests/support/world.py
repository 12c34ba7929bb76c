"""The world of a simulated run, as values: journal, board, messages and git, what of them outlives a crash, and what does not.

`tests.support.simulated` has the orchestrator in it. Every instant at which something is done that outlives the process is
one call of `World.instant`, and a kill may come at each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from orchestrator.model import claims
from orchestrator.model import decide as to_do
from orchestrator.model import reconcile as recover
from orchestrator.model import train as merge_train
from orchestrator.model.claims import Grant, GrantState, Request
from orchestrator.model.state import RunState, fold
from tests.support.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from orchestrator.model import train_values as t
    from orchestrator.model.events import Event
    from orchestrator.model.plan import Plan
    from tests.support.simulated import SimulatedRun

__all__ = ["Ask", "Commit", "HandIn", "Killed", "Move", "Policy", "Routine", "Seat", "Waits", "World"]


class Killed(Exception):
    """The orchestrator was killed."""


class Waits(Enum):
    """What a routine waits for."""

    TURN = "its turn"
    ANSWER = "an answer of the board"
    AGENT = "how its agent ends"
    MERGE = "a thread, which merges"
    GATES = "how gates end"
    MOVE = "a thread, which moves the base branch"


class Move(Enum):
    """How a move of the base branch ends."""

    DONE = "it is done"
    ELSEWHERE = "the branch is elsewhere by now"
    IN_THE_WAY = "a file of the user is in the way"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: the one it stands on, all that its tree holds, and whose work it brings in."""

    name: str
    on: str = ""
    holds: frozenset[str] = frozenset()
    task: str | None = None
    generation: int = 0
    work: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """An agent's place at the board; `number` is different for each that there ever was."""

    number: int
    task: str
    generation: int

    @property
    def holder(self) -> str:
        """What the board knows the agent by."""
        return f"{self.task}.gen-{self.generation}"


@dataclass(frozen=True, slots=True)
class Ask:
    """A message to the board: somebody wants to hold a task. `seat` is where the answer is waited for; 0 is nowhere."""

    holder: str
    task: str
    nonce: str
    seat: int = 0


@dataclass(frozen=True, slots=True)
class HandIn:
    """A message to the board: somebody hands work in."""

    holder: str
    task: str
    generation: int
    work: str
    seat: int = 0


@dataclass(slots=True)
class Routine:
    """What goes on beside the driver: the attempt of a seat, or something that it takes to land.

    It is `at_work` while an agent is, and `unwanted` once its gates or its agent were told to stop.
    """

    name: str
    going: Generator[Waits, Any, None]
    seat: Seat | None
    waits: Waits
    answer: Any = None
    at_work: bool = False
    unwanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What decides, and what a sync forces to the disk; a test may put something wrong in the place of each."""

    decide: Callable[..., tuple[to_do.Action, ...]] = to_do.decide
    fold: Callable[[RunState, Event], RunState] = fold
    to_settle: Callable[..., tuple[recover.Settlement, ...]] = recover.to_settle
    grant: Callable[[Grant | None, Request], tuple[Grant, bool]] = claims.decide
    accepts: Callable[[Grant | None, int, str], bool] = claims.accepts
    is_current: Callable[[Grant | None, int], bool] = claims.is_current
    begin: Callable[..., t.Train] = merge_train.begin
    step: Callable[[t.Rules, t.Train, t.Event], tuple[t.Train, tuple[t.Order, ...]]] = merge_train.step
    on_disk: Callable[[Sequence[Event]], int] = len
    falls_back: Callable[[Plan, RunState], bool] = to_do.falls_back


class World:
    """What there is: first what outlives a crash, then what is gone with the process."""

    def __init__(self, plan: Plan, policy: Policy) -> None:
        self.plan = plan
        self.policy = policy
        self.witness = Witness(cast("SimulatedRun", self))
        self.story: list[str] | None = None
        self.numbers = 0

        self.journal: list[Event] = []
        self.synced = 0  # as many events are on the disk, whatever happens
        self._retold = (0, RunState())
        self.board: dict[str, Grant] = {}
        self.board_log: list[tuple[str, Grant | None]] = []  # which key was written, and what stood there before
        self.base = [Commit("start")]
        self.commits = {"start": self.base[0]}
        self.checkout = "start"
        self.mail: list[Ask | HandIn] = []
        self.now = 0.0

        self.running = False
        self.kill_in: int | None = None
        self.state = RunState()
        self.attempts: dict[str, Routine] = {}
        self.deeds: list[
            Routine
        ] = []  # what else goes on: the contracts' publication, and what the merge train ordered
        self.jobs = 1
        self.woken = False
        self.resting: dict[str, float] = {}  # agents whose provider takes no requests, and until when

    def tell(self, text: str) -> None:
        """Add a line to the story, if anybody wants to read it."""
        if self.story is not None:
            self.story.append(f"{self.now:7.1f}  {text}")

    def number(self) -> int:
        """Return a number that was never used before."""
        self.numbers += 1
        return self.numbers

    # The journal.

    def instant(self) -> None:
        """Come to an instant at which something that lasts is done; this may be where the orchestrator is killed."""
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in < 0:
                raise Killed

    def emit(self, event: Event) -> None:
        """Write an event down, and fold it in."""
        self.instant()
        self.journal.append(event)
        self.state = self.policy.fold(self.state, event)
        self.woken = True
        if self.story is not None:
            self.tell(f"    {_shown(event)}")

    def sync(self) -> None:
        """Force the journal to the disk."""
        self.instant()
        self.synced = self.policy.on_disk(self.journal)

    def retold(self) -> RunState:
        """Return the state that the journal tells, which is told anew from what was last known to be on the disk."""
        start, state = self._retold
        for count, event in enumerate(self.journal[start:], start):
            if count == self.synced:
                self._retold = count, state
            state = self.policy.fold(state, event)
        return state

    def crash(self, *, lost: int = 0, forgotten: int = 0) -> None:
        """End the orchestrator here and now; a loss of power takes up to so many events, and decisions of the board, with it."""
        lost, forgotten = min(lost, len(self.journal) - self.synced), min(forgotten, len(self.board_log))
        self.tell(
            f"CRASH: {lost} events and {forgotten} decisions of the board are lost" if lost or forgotten else "CRASH"
        )
        self.witness.dies()
        del self.journal[len(self.journal) - lost :]
        for _ in range(forgotten):
            key, before = self.board_log.pop()
            self.witness.board_forgot(key, before.gen if before else 0)
            if before is None:
                del self.board[key]
            else:
                self.board[key] = before
        self.leave()

    def leave(self) -> None:
        """Let go of everything that is gone with the process; who asked is gone, too, but work that was sent may still come."""
        self.mail = [message for message in self.mail if isinstance(message, HandIn)]
        self.running = False
        self.kill_in = None
        self.attempts.clear()
        self.deeds.clear()
        self.resting.clear()

    # The board.

    def open_key(self, task: str, *, at_least: int) -> None:
        """Let a task be claimed, by its next generation."""
        grant = self.board.get(task)
        if grant is None or grant.state is not GrantState.OPEN or grant.gen < at_least:
            self._write(task, claims.release(grant, GrantState.OPEN, at_least=at_least))

    def release(self, task: str, to_state: GrantState, *, commit: str | None = None) -> None:
        """End the work on a task, or take it back."""
        grant = self.board.get(task)
        released = claims.release(grant, to_state, commit=commit)
        if released != grant:
            self._write(task, released)

    def deliver(self, message: Ask | HandIn, *, again: bool = False) -> None:
        """Let the board read a message, and answer; it may come once more."""
        if not again:
            self.mail.remove(message)
        grant = self.board.get(message.task)
        answer: int | bool
        if isinstance(message, Ask):
            given, granted = (grant, False) if grant is None else self._asked(grant, message)
            answer = given.gen if given is not None and granted else 0
        else:
            answer = self.policy.accepts(grant, message.generation, message.holder)
            if answer:
                self.witness.taken(grant, message)
                self._write(message.task, claims.release(grant, GrantState.SUBMITTED, commit=message.work))
            else:
                handed_in = (GrantState.SUBMITTED, message.generation, message.holder, message.work)
                answer = grant is not None and (grant.state, grant.gen, grant.holder, grant.commit) == handed_in
        if self.story is not None:
            self.tell(f"the board reads {message} and says {'yes' if answer else 'no'}")
        for routine in self.attempts.values():
            if routine.seat is not None and routine.seat.number == message.seat and routine.waits is Waits.ANSWER:
                routine.waits, routine.answer = Waits.TURN, answer

    def _asked(self, grant: Grant, message: Ask) -> tuple[Grant, bool]:
        given, granted = self.policy.grant(grant, Request(holder=message.holder, nonce=message.nonce))
        if given != grant:
            self._write(message.task, given)
        return given, granted

    def _write(self, task: str, grant: Grant) -> None:
        before = self.board.get(task)
        self.instant()
        self.witness.granted(task, before, grant)
        self.board_log.append((task, before))
        self.board[task] = grant

    # Git.

    def advance(self, commits: Sequence[Commit]) -> bool:
        """Move the checkout and then the base branch, unless that is not where the first of the commits stands."""
        if self.base[-1].name != commits[0].on:
            return False
        self.instant()
        self.checkout = commits[-1].name
        self.instant()
        self.witness.moves(commits)
        self._add_to_base(*commits)
        return True

    def _add_to_base(self, *commits: Commit) -> None:
        self.base.extend(commits)
        self.tell(f"    the base branch moves to {' '.join(commit.name for commit in commits)}")

    def somebody_moves_base(self) -> None:
        """Let the user commit to the base branch, in its checkout."""
        assert self.checkout == self.base[-1].name, "a person would first look at what is staged there"
        self._add_to_base(self.commit_on_base(f"somebody-{self.number()}"))
        self.checkout = self.base[-1].name

    def commit_on_base(self, name: str) -> Commit:
        """Make a commit on top of the base branch, which nobody has in a task."""
        commit = Commit(name, self.base[-1].name, self.base[-1].holds | {name})
        self.commits[name] = commit
        return commit

    @property
    def landed(self) -> set[str]:
        """The tasks whose work is on the base branch."""
        return {commit.task for commit in self.base if commit.task is not None}


def _shown(event: Event) -> str:
    shown = ("task", "tasks", "generation", "status", "reason", "commit", "new", "lands", "final", "stopped", "jobs")
    words = (f"{name}={value}" for name in shown if (value := getattr(event, name, None)) not in (None, "", False))
    return f"{event.kind} {' '.join(words)}"

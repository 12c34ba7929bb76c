"""A simulated orchestrator: the order of the real one's deeds, and the real one's decisions, with nothing real done.

Attempts, and each deed that it takes to land, are routines that stop where the real ones wait; whoever plays chooses which of
them goes on, and how.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model import reconcile as recover
from orchestrator.model.claims import GrantState
from orchestrator.model.decide import verdict
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.state import TaskStatus
from tests.support.simulated_landing import Fits, SimulatedLanding, Verdict
from tests.support.world import Ask, Commit, HandIn, Move, Policy, Routine, Seat, Waits, World

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from orchestrator.model.formats import Mode
    from orchestrator.model.plan import Plan
    from orchestrator.model.train_values import Rules

__all__ = ["Ending", "SimulatedRun", "started"]


class Ending(Enum):
    """How an agent's work ends: what it says, or what is said of it, and why its work is not handed in."""

    DONE = (OutcomeStatus.DONE, "")
    LIED = (OutcomeStatus.DONE, "there is no work")
    FAILED = (OutcomeStatus.FAILED, "it gave up")
    TIMED_OUT = (OutcomeStatus.TIMED_OUT, "its time is over")
    STALLED = (OutcomeStatus.STALLED, "it is silent")
    STOPPED = (OutcomeStatus.STOPPED, "it was stopped")
    USELESS = (OutcomeStatus.FAILED, "there is no such program")
    PUT_OFF = (OutcomeStatus.PUT_OFF, "its provider takes no requests")


_REST = 10.0  # seconds for which a provider takes no requests


def started(plan: Plan, jobs: int = 2, mode: Mode = "worktree") -> happened.RunStarted:
    """Return the first event of a run of a plan."""
    return happened.RunStarted(
        run="r", plan="p", tasks=tuple(task.id for task in plan.tasks), plan_sha256="", mode=mode, base="main",
        commit="start", jobs=jobs, folder="/", pid=1,
    )  # fmt: skip


class SimulatedRun(World):
    """One run, from its beginning over any number of crashes to its end."""

    mode: Mode = "worktree"

    def __init__(self, plan: Plan, *, contracts: bool, policy: Policy, rules: Rules, fits: Fits) -> None:
        super().__init__(plan, policy)
        self.contracts = contracts
        self.rules = rules
        self.fits = fits
        self.landing: SimulatedLanding | None = None
        self.began = 0.0
        self.agents_stop = self.gates_stop = False

    @property
    def over(self) -> bool:
        """Tell whether there is nothing to go on with: the run came to its end, and was not interrupted before."""
        ended = self.state.ended
        return ended is not None and (self.state.lands or ended.status == "landed")

    @property
    def due(self) -> bool:
        """Tell whether the driver is to be asked."""
        wall = self.plan.limits.wall
        timed_out = wall is not None and self.now - self.began >= wall and not self.state.stopping
        rested = any(until <= self.now for until in self.resting.values())
        return self.running and self.state.contracts is not None and (self.woken or timed_out or rested)

    # What the player lets happen.

    def follow(self, before: SimulatedRun) -> None:
        """Be the run in which one agent does all that another run came to nothing with, in the same repository."""
        before.witness.followed()
        self.mode = "sequential"
        self.base, self.commits, self.checkout = before.base, before.commits, before.checkout
        self.numbers, self.now, self.story = before.numbers, before.now, before.story
        self.tell("nothing has landed: one agent does all of it")

    def take_up(self, jobs: int, *, retry: bool = False) -> None:
        """Begin the run, or take it over from whoever worked on it; with `retry` what had failed starts anew."""
        self.running, self.jobs, self.began = True, jobs, self.now
        self.agents_stop = self.gates_stop = False
        self.state = self.retold()
        self.tell(f"an orchestrator takes the run up with {jobs} jobs")
        if self.state.started is None:
            self.emit(started(self.plan, jobs, self.mode))
        else:
            self.emit(happened.Resumed(commit=self.base[-1].name, jobs=jobs, pid=1))
            self._reconcile()
            if retry and (failed := self.state.with_status(TaskStatus.FAILED)):
                self.emit(happened.Retried(tasks=tuple(failed)))
        if self.state.contracts is None:
            self.begin("the contracts", self._publish())
        else:
            self._open_landing()

    def drive(self) -> None:
        """Ask what to do, and give the orders."""
        self.woken = False
        self.resting = {agent: until for agent, until in self.resting.items() if until > self.now}
        seconds = self.now - self.began
        orders = self.policy.decide(self.plan, self.state, jobs=self.jobs, seconds=seconds, resting=self.resting)
        if not orders:
            self.witness.nothing_ordered()
        for action in orders:
            self.tell(f"  {action}")
            self.witness.ordered(action)
            if isinstance(action, to_do.Finish):
                self._wind_up()
                self.conclude()
                self.witness.finished()
                return
            self._carry_out(action)
        if not (self.woken or self.attempts or self.deeds or self.state.paused or self.resting):
            self.witness.stuck()

    def go_on(self, routine: Routine, with_what: Ending | Verdict | Move | None = None) -> None:
        """Let a routine go on to where it waits next, with how what it waited for has ended."""
        assert routine.waits is not Waits.ANSWER
        self.tell(f"{routine.name}: {with_what.name if with_what else 'goes on'}")
        sent, routine.answer = with_what if with_what is not None else routine.answer, None
        try:
            routine.waits = routine.going.send(sent)
        except StopIteration:
            if routine.seat is None:
                self.deeds.remove(routine)
            else:
                del self.attempts[routine.seat.task]
                self.mail = [m for m in self.mail if isinstance(m, HandIn) or m.seat != routine.seat.number]

    def interrupt(self) -> None:
        """Let the user press Ctrl-C."""
        self.emit(happened.StopRequested(reason="interrupted", lands=False))
        self.agents_stop = self.gates_stop = True
        if self.landing is not None:
            self.begin("the stop", self.landing.stop())

    def pause(self) -> None:
        """Let somebody want no more attempts to begin, or, if that is so already, want them to."""
        self.emit(happened.Unpaused() if self.state.paused else happened.Paused())

    def cancel(self, task: str) -> None:
        """Let somebody want a task no more."""
        now = self.state.tasks[task]
        if not (now.unwanted or now.status.final):
            self.emit(happened.CancelRequested(task=task))
            if task in self.attempts:
                self.attempts[task].unwanted = True

    def rest(self, agent: str) -> None:
        """Let an agent's provider take no requests for a while."""
        self.tell(f"the provider of {agent} takes no requests")
        self.resting[agent] = self.now + _REST

    def conclude(self, *, moves: bool = False) -> None:
        """End the run, whatever is under way (a second Ctrl-C); a move of the base branch in a thread may still be done."""
        for task, now in self.state.tasks.items():
            if not now.status.final:
                self.emit(happened.TaskEnded(task=task, status="cancelled", reason="ended at once"))
        self.emit(happened.RunEnded(status=verdict(self.state), commit=self.base[-1].name, seconds=0))
        for routine in self.deeds:
            if moves and routine.waits is Waits.MOVE:
                routine.going.send(None)
        self.leave()

    def leave(self) -> None:
        """Let go of everything that is gone with the process."""
        self.landing = None
        super().leave()

    # What the orchestrator does.

    def begin(self, name: str, going: Generator[Waits, Any, None], seat: Seat | None = None) -> Routine:
        """Let something go on beside the driver, from its first turn."""
        routine = Routine(name, going, seat, next(going))
        if seat is None:
            self.deeds.append(routine)
        else:
            self.attempts[seat.task] = routine
        return routine

    def _open_landing(self) -> None:
        self.landing = SimulatedLanding(self)
        if self.gates_stop:
            self.begin("the stop", self.landing.stop())

    def _wind_up(self) -> None:
        """Let what nobody waits for any more come to its end: merges and gates of candidates that were given up."""
        while self.deeds:
            routine = self.deeds[0]
            self.go_on(routine, Verdict.STOPPED if routine.waits is Waits.GATES else None)

    def _carry_out(self, action: to_do.Action) -> None:
        match action:
            case to_do.Stop(reason):
                self.emit(happened.StopRequested(reason=reason, lands=True))
                self.agents_stop = True
            case to_do.End(task, status, reason):
                self.emit(happened.TaskEnded(task=task, status=status, reason=reason))
                self.release(task, GrantState(status))
            case to_do.Start(task, generation):
                self.emit(happened.Assigned(task=task, generation=generation))
                seat = Seat(self.number(), task, generation)
                self.begin(seat.holder, self._attempt(seat), seat)
            case to_do.Land(task):
                assert self.landing is not None, "the driver is asked once the contracts stand"
                self.emit(happened.LandingStarted(task=task, generation=self.state.tasks[task].generation))
                self.begin(f"land {task}", self.landing.land(task))

    def _reconcile(self) -> None:
        moving = self.state.moving
        moved = moving is not None and moving.new in {commit.name for commit in self.base}
        given_up = {
            task
            for task, now in self.state.tasks.items()
            if now.submitted and not self.policy.is_current(self.board.get(task), now.generation)
        }
        for settlement in self.policy.to_settle(self.state, moved=moved, given_up=given_up):
            self.tell(f"  {settlement}")
            self._settle(settlement)
        self.witness.settled()

    def _settle(self, settlement: recover.Settlement) -> None:
        match settlement:
            case recover.NoteContracts(commit):
                self.emit(happened.ContractsPublished(commit=commit, files=1, seconds=0))
            case recover.NoteLanded(task, generation, commit):
                self.landed_as(task, generation, commit)
            case recover.TakeBack(old, new):
                if self.checkout == new:
                    self.instant()
                    self.checkout = old
            case recover.CutOff(task, generation, attempt):
                self.witness.cut_off(settlement)
                if attempt is not None:
                    self._kept(task, generation)
                self.refuse(task, generation, "cut short", stopped=True)
            case recover.GiveUp(task, generation):
                self.witness.given_up(task, generation, self.board.get(task))
                self.refuse(task, generation, "given up", stopped=True)
            case recover.LandAgain(task, generation, commit, files):
                self.emit(happened.Submitted(task=task, generation=generation, commit=commit, files=files))

    def _publish(self) -> Generator[Waits, Any, None]:
        yield Waits.TURN
        written: str | None = None
        while self.contracts and not any(name.startswith("contracts") for name in self.base[-1].holds):
            commit = self.commit_on_base(f"contracts-{self.number()}")
            if (yield from self.move((), (commit,))) is Move.DONE:
                written = commit.name
        self.emit(happened.ContractsPublished(commit=written, files=1, seconds=0))
        self._open_landing()

    def move(self, tasks: tuple[str, ...], commits: Sequence[Commit]) -> Generator[Waits, Any, Move]:
        """Move the base branch to the last of these commits, which are the landings of these tasks."""
        names = tuple(commit.name for commit in commits)
        self.emit(happened.BaseMoving(tasks=tasks, commits=names, old=commits[0].on))
        yield Waits.TURN
        self.sync()
        how: Move | None = yield Waits.MOVE
        if how is None:
            how = Move.DONE if self.advance(commits) else Move.ELSEWHERE
        yield Waits.TURN
        return how

    def _attempt(self, seat: Seat) -> Generator[Waits, Any, None]:
        yield Waits.TURN
        routine, task, generation = self.attempts[seat.task], seat.task, seat.generation
        self.sync()
        yield Waits.TURN
        self.open_key(task, at_least=generation - 1)
        self.mail.append(Ask(seat.holder, task, nonce=str(seat.number), seat=seat.number))
        if (yield Waits.ANSWER) != generation:
            self.refuse(task, generation, "the board has another holder")
            return
        self.witness.begins(task, generation)
        routine.at_work = True
        self.emit(
            happened.AttemptStarted(
                task=task, generation=generation, commit=self.base[-1].name, branch="", worktree="", agent="default",
                model="", session=str(seat.number), transcript="",
            )
        )  # fmt: skip
        ending = yield Waits.AGENT
        status, against = ending.value
        self.emit(
            happened.AttemptEnded(
                task=task,
                generation=generation,
                status=status,
                reason=against,
                seconds=1,
                cost_usd=0.5,
                turns=1,
                tokens=10,
            )
        )
        yield Waits.TURN
        self._kept(task, generation)
        yield Waits.TURN
        routine.at_work = False
        if against:
            stopped, final = ending in {Ending.STOPPED, Ending.PUT_OFF}, ending is Ending.USELESS
            if ending is Ending.PUT_OFF:
                self.rest(self.plan.task(task).agent)
            self.refuse(task, generation, against, stopped=stopped, final=final)
            return
        work = f"work-{seat.number}"
        self.mail.append(HandIn(seat.holder, task, generation, work, seat=seat.number))
        if not (yield Waits.ANSWER):
            self.refuse(task, generation, "the board does not take it")
            return
        self.witness.submitted(task, generation, work)
        self.emit(happened.Submitted(task=task, generation=generation, commit=work, files=1))

    def landed_as(self, task: str, generation: int, commit: str) -> None:
        """Say that a task has landed, and end its claim."""
        self.emit(happened.Landed(task=task, generation=generation, commit=commit, tree="", seconds=0))
        self.release(task, GrantState.DONE, commit=commit)

    def _kept(self, task: str, generation: int) -> None:
        self.emit(happened.Kept(task=task, generation=generation, branch="", commit="", files=1))

    def refuse(self, task: str, generation: int, reason: str, *, stopped: bool = False, final: bool = False) -> None:
        """Give a generation up: its claim ends, and the next one is told why."""
        self.release(task, GrantState.FAILED if final else GrantState.OPEN)
        self.emit(
            happened.Refused(
                task=task, generation=generation, reason=reason, feedback=reason, final=final, stopped=stopped
            )
        )

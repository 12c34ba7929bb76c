"""Who watches a simulated run: remembers what really happened, and objects to the first promise that is broken."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from orchestrator.model import decide as to_do
from orchestrator.model import events as happened
from orchestrator.model import train_values as t
from orchestrator.model.claims import GrantState
from orchestrator.model.decide import verdict
from orchestrator.model.state import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.model import reconcile as recover
    from orchestrator.model.claims import Grant
    from tests.support.simulated import SimulatedRun
    from tests.support.world import Commit, HandIn

__all__ = ["Broken", "Witness"]


class Broken(AssertionError):
    """A promise of the run was broken; the message says which."""


class Witness:
    """What was ever seen; nothing of it is lost in a crash."""

    def __init__(self, world: SimulatedRun) -> None:
        self.world = world
        self.needs = {task.id: task.needs for task in world.plan.tasks}
        self.allowed = {task.id: task.attempts for task in world.plan.tasks}
        self.begun: defaultdict[str, int] = defaultdict(int)  # the newest generation whose agent began to work
        self.holders: dict[tuple[str, int], str] = {}
        self.accepted: dict[tuple[str, int], str] = {}
        self.passed: set[str] = set()  # commits whose gates passed
        self.failed: set[str] = set()  # and those whose did not

    def ordered(self, action: to_do.Action) -> None:
        """Judge an order, before it is carried out."""
        world = self.world
        match action:
            case to_do.Start(task, generation):
                _promise(task not in world.attempts, f"{task} is started while an agent is at it")
                _promise(len(world.attempts) < world.jobs, f"{task} is started, and {world.jobs} agents work already")
                _promise(
                    generation > self.begun[task],
                    f"generation {generation} of {task} is started after {self.begun[task]}",
                )
                _promise(self.counted(task) < self.allowed[task], f"{task} is started more often than the plan allows")
                _promise(not world.state.stopping, f"{task} is started though the run is stopping")
                _promise(not world.state.paused, f"{task} is started though the run is paused")
                _promise(not self.unwanted(task), f"{task} is started, and somebody has cancelled it")
                _promise(
                    world.plan.task(task).agent not in world.resting, f"{task} is started, and its agent must rest"
                )
                over = self._run_is_used_up() or (self.failures(task) and self._used_up(task))
                _promise(not over, f"{task} is started, and there is no budget left for it")
                _promise(not self._has_work(task), f"{task} is started, and its finished work could land")
                self._needs_are_there(task, "is started")
            case to_do.Land(task):
                _promise(task not in self._in_train(), f"{task} is to land, and is landing already")
                _promise(world.state.lands, f"{task} is to land though nothing more should")
                _promise(not self.unwanted(task), f"{task} is to land, and somebody has cancelled it")
                _promise(self._has_work(task), f"{task} is to land, and its work was refused")
            case to_do.End(task, status):
                _promise(task not in world.attempts, f"{task} is ended while an agent is at it")
                cut_short = bool(world.state.stopping) and any(last.stopped for last in self.failures(task)[-1:])
                _promise(status != "failed" or not cut_short, f"{task} is to fail, and was only stopped")
            case to_do.Finish():
                under_way = [*world.attempts, *self._in_train()]
                _promise(not under_way, f"the run is finished while {under_way} are under way")

    def train_orders(self, order: t.Order) -> None:
        """Judge an order of the merge train, before it is carried out."""
        world = self.world
        assert world.landing is not None
        halts = isinstance(order, t.Cancel) or not world.landing.stopped
        _promise(halts, f"the merge train was stopped, and orders {order}")
        match order:
            case t.Gate(candidate):
                slots = world.rules.slots
                _promise(
                    len(world.landing.gates) < slots, f"gates on {candidate.commit} are one more than {slots} at once"
                )
            case t.Land(old, candidates):
                on = world.commits[candidates[0].commit].on
                _promise(on == old, f"{candidates[0].commit} stands on {on}, and is to move the branch from {old}")
                failed = self.failed & {candidate.commit for candidate in candidates}
                _promise(not failed, f"{failed} are to land, and did not pass the gates")
            case t.Refuse(item, kind, base, _):
                _promise(base in {commit.name for commit in world.base}, f"{item.task} is refused on {base}")
                holds = world.commits[base].holds
                merges = world.fits.merges(holds, item.commit)
                if kind is t.RefuseKind.CONFLICT:
                    _promise(not merges, f"{item.task} is refused, and merges with {base}")
                else:
                    passes = merges and world.fits.passes(holds | {item.commit})
                    _promise(not passes, f"{item.task} is refused, and passes on {base}")

    def gated(self, commit: Commit, *, passed: bool, failed: bool) -> None:
        """Take note of how gates ended."""
        if passed:
            self.passed.add(commit.name)
        if failed:
            self.failed.add(commit.name)

    def begins(self, task: str, generation: int) -> None:
        """Judge an agent's beginning; that it could begin says that the journal is on the disk."""
        _promise(generation > self.begun[task], f"an agent begins with generation {generation} of {task} once more")
        self.begun[task] = generation
        self._needs_are_there(task, "is begun")

    def granted(self, key: str, before: Grant | None, after: Grant) -> None:
        """Judge a decision of the board."""
        old = before.gen if before else 0
        _promise(after.gen >= old, f"the generation of {key} went back from {old} to {after.gen}")
        if before is not None and before.state is GrantState.DONE:
            _promise(after.state is GrantState.DONE, f"{key} has landed, and its claim is given away")
        if after.state is GrantState.HELD:
            assert after.holder is not None
            first = self.holders.setdefault((key, after.gen), after.holder)
            _promise(first == after.holder, f"generation {after.gen} of {key} has two holders: {first}, {after.holder}")

    def taken(self, grant: Grant | None, message: HandIn) -> None:
        """Judge work that the board takes, by what it knew before."""
        held = grant is not None and (grant.state, grant.gen, grant.holder)
        ours = (GrantState.HELD, message.generation, message.holder)
        _promise(
            held == ours,
            f"{message.holder} hands in generation {message.generation} of {message.task}: taken from {held}",
        )

    def board_forgot(self, key: str, generation: int) -> None:
        """Take note that the board lost its newest decisions on a key: what it grants after `generation` is new again."""
        for known in [g for g in self.holders if g[0] == key and g[1] > generation]:
            del self.holders[known]

    def submitted(self, task: str, generation: int, work: str) -> None:
        """Judge work that the run takes as handed in."""
        newest = self.begun[task]
        _promise(generation == newest, f"work of generation {generation} of {task} is taken, and {newest} has begun")
        known = self.accepted.setdefault((task, generation), work)
        _promise(known == work, f"two works are taken as generation {generation} of {task}: {known} and {work}")

    def refused_as_stale(self, task: str, generation: int) -> None:
        """Judge a landing that is refused because the generation does not count any more."""
        _promise(
            generation != self.begun[task], f"generation {generation} of {task} is the newest, and refused as stale"
        )

    def given_up(self, task: str, generation: int, grant: Grant | None) -> None:
        """Judge the refusal of finished work because the board does not let it land: nobody else may have taken that away."""
        kept = grant is not None and grant.gen == generation and grant.state is GrantState.CANCELLED and grant.commit
        _promise(not kept, f"the finished work of {task} is thrown away, and was only cancelled")

    def moves(self, commits: Sequence[Commit]) -> None:
        """Judge a move of the base branch, before it is done."""
        world = self.world
        below, landed = world.base[-1].name, set(world.landed)
        for commit in commits:
            _promise(commit.on == below, f"{commit.name} does not stand on {below}")
            below = commit.name
            if commit.task is not None:
                self._lands(commit.task, commit, landed)
                landed.add(commit.task)
        to_pass = [c for c in commits if c.task is not None][-1 if world.rules.batch > 1 else 0 :]
        ungated = [commit.name for commit in to_pass if commit.name not in self.passed]
        _promise(not ungated, f"{ungated} are about to land, and did not pass the gates")

    def _lands(self, task: str, commit: Commit, landed: set[str]) -> None:
        generation, work = commit.generation, commit.work
        _promise(task not in landed, f"{task} lands twice")
        _promise(generation == self.begun[task], f"{task} lands generation {generation} after {self.begun[task]} began")
        _promise(self.accepted.get((task, generation)) == work, f"{task} lands {work}, which was never taken")
        missing = [need for need in self.needs[task] if need not in landed]
        _promise(not missing, f"{task} lands, and {missing} are not on the base branch")

    def at_rest(self) -> None:
        """Judge what is so between two deeds."""
        world = self.world
        _promise(len(world.attempts) <= world.jobs, f"{len(world.attempts)} agents work, and {world.jobs} may")
        for task, attempt in world.attempts.items():
            if attempt.at_work:
                grant = world.board[task]
                assert attempt.seat is not None
                ours = grant.state.live and (grant.gen, grant.holder) == (attempt.seat.generation, attempt.seat.holder)
                _promise(ours, f"{attempt.seat.holder} works on {task}, which is {grant.state} of {grant.holder}")
        for task in self._in_train():
            now = world.state.tasks[task].status
            _promise(now is TaskStatus.LANDING, f"{task} waits in the merge train, and is {now}")

    def dies(self) -> None:
        """Judge what is so when the orchestrator is killed."""
        _promise(self.world.state == self.world.retold(), "the journal tells another story than the state")

    def cut_off(self, cut: recover.CutOff) -> None:
        """Judge that what an attempt left is kept: only if its own agent had begun has it left anything."""
        attempt = cut.attempt
        _promise(attempt is None or attempt.generation == cut.generation, f"{cut.task} keeps what another attempt left")

    def settled(self) -> None:
        """Judge what is so once a run was taken over."""
        world, now = self.world, self.world.state
        _promise(
            now.lands and not (now.stopping or now.paused or now.ended), "a run was taken up again, and does not go on"
        )
        busy = world.state.with_status(TaskStatus.WORKING, TaskStatus.LANDING)
        _promise(not busy, f"{busy} are under way though nobody is at them")
        self._known_to_be_landed()
        _promise(world.checkout == world.base[-1].name, "a checkout was left where its branch is not")

    def nothing_ordered(self) -> None:
        """Judge that nothing is ordered: nobody starves, so whatever can begin has been let begin."""
        world = self.world
        unlanded = world.state.with_status(TaskStatus.SUBMITTED)
        _promise(not unlanded, f"{unlanded} wait to land, and nobody lands them")
        free = 0 if world.state.paused else world.jobs - len(world.attempts)
        for task in world.plan.tasks:
            now = world.state.tasks[task.id]
            waits = now.status is TaskStatus.WAITING and task.agent not in world.resting
            ready = waits and all(world.state.tasks[need].status is TaskStatus.LANDED for need in task.needs)
            _promise(not (ready and free > 0), f"{task.id} could start, {free} places are free, and nobody starts it")

    def followed(self) -> None:
        """Judge that one agent begins to do all that the run was to do."""
        world = self.world
        _promise(not world.landed, f"one agent is to do it all, and {world.landed} have landed")
        _promise(
            world.mode == "worktree" and not world.state.stopping, "one agent is to do it all, and nobody wants that"
        )

    def stuck(self) -> None:
        """Object: nothing is under way, nothing was ordered, and the run is not over."""
        left = {t: s.status.value for t, s in self.world.state.tasks.items() if not s.status.final}
        raise Broken(f"nothing is under way, and nothing is ordered for {left}")

    def finished(self) -> None:
        """Judge the end of a run that came to its end by itself."""
        world = self.world
        self._known_to_be_landed()
        _promise(world.state == world.retold(), "the journal tells another story than the state")
        for task, now in world.state.tasks.items():
            lost = [need for need in self.needs[task] if need not in world.landed]
            match now.status:
                case TaskStatus.LANDED:
                    pass
                case TaskStatus.BLOCKED:
                    _promise(bool(lost), f"{task} is blocked, and all that it needs has landed")
                case TaskStatus.CANCELLED:
                    wanted = not world.state.stopping and not self.unwanted(task)
                    _promise(not wanted, f"{task} is cancelled, and nobody wanted that")
                case TaskStatus.FAILED:
                    _promise(not lost, f"{task} has failed, and {lost} did not land")
                    used_up = self.counted(task) == self.allowed[task] or self._used_up(task)
                    used_up = used_up or any(failure.final for failure in self.failures(task)[-1:])
                    _promise(used_up, f"{task} has failed after {self.counted(task)} of {self.allowed[task]} attempts")
                case other:
                    raise Broken(f"the run is over, and {task} is {other}")
        told = world.state.ended.status if world.state.ended else None
        landed = len(world.landed)
        really = "landed" if landed == len(self.needs) else "partial" if landed else "failed"
        _promise(told == really == verdict(world.state), f"the run is said to be {told}, and is {really}")
        _promise(world.checkout == world.base[-1].name, "a checkout was left where its branch is not")

    def counted(self, task: str) -> int:
        """Return how many attempts were refused for their work's sake, as the journal has it."""
        return sum(not event.stopped for event in self.failures(task))

    def failures(self, task: str) -> list[happened.Refused]:
        """Return the refusals that a task has met, as the journal has them, since it last began anew."""
        met: list[happened.Refused] = []
        for event in self.world.journal:
            if isinstance(event, happened.Refused) and event.task == task:
                met.append(event)
            elif isinstance(event, happened.Retried) and task in event.tasks:
                met.clear()
        return met

    def _has_work(self, task: str) -> bool:
        """Tell whether the newest work of a task may land: it was handed in, and not refused since."""
        ends = [
            e for e in self.world.journal if isinstance(e, happened.Submitted | happened.Refused) and e.task == task
        ]
        return bool(ends) and isinstance(ends[-1], happened.Submitted)

    def unwanted(self, task: str) -> bool:
        """Tell whether somebody has cancelled a task, as the journal has it; who has it tried again wants it again."""
        said = [
            isinstance(event, happened.CancelRequested)
            for event in self.world.journal
            if (isinstance(event, happened.CancelRequested) and event.task == task)
            or (isinstance(event, happened.Retried) and task in event.tasks)
        ]
        return bool(said) and said[-1]

    def _used_up(self, task: str) -> bool:
        """Tell whether attempts at a task have used up one of its budgets."""
        budget, used = self.world.plan.task(task).budget, self._used(task)
        return any(whole is not None and used[name] >= whole for name, whole in budget.model_dump().items())

    def _run_is_used_up(self) -> bool:
        limits, used = self.world.plan.limits.model_dump(include={"cost_usd", "tokens", "turns"}), self._used()
        return any(whole is not None and used[name] > whole for name, whole in limits.items())

    def _used(self, task: str | None = None) -> dict[str, float]:
        """Return what all attempts have used, or those at one task, as the journal has it."""
        ended = [e for e in self.world.journal if isinstance(e, happened.AttemptEnded) and task in {None, e.task}]
        return {
            "cost_usd": sum(e.cost_usd for e in ended),
            "tokens": sum(e.tokens for e in ended),
            "turns": sum(e.turns for e in ended),
            "wall": sum(e.seconds for e in ended),
        }

    def _in_train(self) -> list[str]:
        return [key.task for key in self.world.landing.waiting] if self.world.landing else []

    def _known_to_be_landed(self) -> None:
        told = [event.task for event in self.world.journal if isinstance(event, happened.Landed)]
        _promise(len(told) == len({*told}), f"each of {told} is said to have landed, and one of them twice")
        known = set(self.world.state.with_status(TaskStatus.LANDED))
        there = self.world.landed
        _promise(known == there, f"{sorted(known)} are said to have landed, and {sorted(there)} are on the base branch")

    def _needs_are_there(self, task: str, what: str) -> None:
        missing = [need for need in self.needs[task] if need not in self.world.landed]
        _promise(not missing, f"{task} {what}, and {missing} are not on the base branch")


def _promise(kept: bool, sentence: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not kept:
        raise Broken(sentence)

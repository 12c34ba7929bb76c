"""The simulated run again, deed by deed as hypothesis likes it: what breaks a promise here is shrunk to the shortest story."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from orchestrator.model.train_values import Slow
from tests.support.simulated import Ending, SimulatedRun
from tests.support.simulated_landing import Fits, Verdict
from tests.support.simulation import Player, plan_of, rules_of
from tests.support.witness import Broken
from tests.support.world import Ask, HandIn, Killed, Move, Policy, Waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.model.plan import Plan
    from tests.support.world import Routine

NAMES = ("a", "b", "c", "d")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a plan: tasks, each with those before it that it needs."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    needs = {n: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [] for i, n in enumerate(names)}
    budgets = st.sampled_from(({}, {}, {"turns": 1}, {"wall": "2s"}))
    more = {name: {"budget": draw(budgets)} for name in names}
    return plan_of(needs, draw(st.integers(1, 3)), more=more, cost_usd=draw(st.none() | st.floats(0, 3)))


def running(machine: RunMachine) -> bool:
    return machine.world.running


def a_routine_waits(*what: Waits) -> Callable[[RunMachine], bool]:
    return lambda machine: bool(machine.waiting(*what))


class RunMachine(RuleBasedStateMachine):
    """One run; whatever was done to it, it comes to its end once everything goes well."""

    policy = Policy()
    world: SimulatedRun

    def __init__(self) -> None:
        super().__init__()
        self.sound = True  # no promise was broken yet

    def waiting(self, *what: Waits) -> list[Routine]:
        return [r for r in (*self.world.attempts.values(), *self.world.deeds) if r.waits in what]

    def do(self, deed: Callable[..., None], *arguments: Any, **more: Any) -> None:
        self.sound = False
        try:
            deed(*arguments, **more)
        except Killed:
            self.world.crash()
        self.world.witness.at_rest()
        self.sound = True

    @initialize(
        plan=plans(),
        contracts=st.booleans(),
        rules=st.fixed_dictionaries(
            {
                "apart": st.integers(0, 63),
                "window": st.integers(1, 4),
                "slots": st.integers(1, 3),
                "batch": st.integers(1, 3),
            }
        ),
        fits=st.builds(Fits, salt=st.integers(0, 99), fails=st.sampled_from((0.0, 0.2))),
    )
    def a_run(self, *, plan: Plan, contracts: bool, rules: dict[str, int], fits: Fits) -> None:
        how = rules_of(plan, **rules)
        self.world = SimulatedRun(plan, contracts=contracts, policy=self.policy, rules=how, fits=fits)
        self.do(self.world.take_up, 2)

    @precondition(lambda machine: not machine.world.running)
    @rule(jobs=st.integers(1, 3), kill_in=st.none() | st.integers(0, 10), retry=st.booleans())
    def an_orchestrator_takes_it_up(self, *, jobs: int, kill_in: int | None, retry: bool) -> None:
        ended = self.world.state.ended
        if not self.world.over or (retry and ended is not None and ended.status != "landed"):
            self.world.kill_in = kill_in
            self.do(self.world.take_up, jobs, retry=retry)

    @precondition(lambda machine: not machine.world.over)
    @rule(deeds=st.integers(1, 30))
    def all_goes_well_for_a_while(self, deeds: int) -> None:
        player = Player(self.world, random.Random(0))
        for _ in range(deeds):
            if not self.world.over:
                self.do(player.step)

    @precondition(lambda machine: machine.world.due)
    @rule()
    def the_driver_gives_orders(self) -> None:
        self.do(self.world.drive)

    @precondition(a_routine_waits(Waits.TURN, Waits.MERGE, Waits.MOVE))
    @rule(data=st.data())
    def something_goes_on(self, data: st.DataObject) -> None:
        self.do(self.world.go_on, data.draw(st.sampled_from(self.waiting(Waits.TURN, Waits.MERGE, Waits.MOVE))))

    @precondition(a_routine_waits(Waits.MERGE))
    @rule(data=st.data())
    def a_merge_meets_a_fault(self, data: st.DataObject) -> None:
        self.do(self.world.go_on, data.draw(st.sampled_from(self.waiting(Waits.MERGE))), Verdict.FAULT)

    @precondition(a_routine_waits(Waits.MOVE))
    @rule()
    def a_file_is_in_the_way(self) -> None:
        self.do(self.world.go_on, *self.waiting(Waits.MOVE), Move.IN_THE_WAY)

    @precondition(a_routine_waits(Waits.AGENT))
    @rule(data=st.data(), how=st.sampled_from(Ending))
    def an_agent_ends(self, data: st.DataObject, how: Ending) -> None:
        if how is Ending.STOPPED and not self.world.agents_stop:
            how = Ending.FAILED
        self.do(self.world.go_on, data.draw(st.sampled_from(self.waiting(Waits.AGENT))), how)

    @precondition(a_routine_waits(Waits.GATES))
    @rule(data=st.data(), how=st.sampled_from(Verdict))
    def gates_end(self, data: st.DataObject, how: Verdict) -> None:
        routine = data.draw(st.sampled_from(self.waiting(Waits.GATES)))
        if how is Verdict.STOPPED and not routine.unwanted:
            how = Verdict.FAILED
        self.do(self.world.go_on, routine, how)

    @precondition(a_routine_waits(Waits.GATES))
    @rule(data=st.data())
    def gates_are_slow(self, data: st.DataObject) -> None:
        assert self.world.landing is not None
        self.do(self.world.landing.tell, Slow(data.draw(st.sampled_from(sorted(self.world.landing.gates)))))

    @precondition(lambda machine: machine.world.running and machine.world.mail)
    @rule(data=st.data(), again=st.booleans())
    def the_board_reads_a_message(self, *, data: st.DataObject, again: bool) -> None:
        self.do(self.world.deliver, data.draw(st.sampled_from(self.world.mail)), again=again)

    @precondition(running)
    @rule(task=st.sampled_from(NAMES), whose=st.sampled_from(NAMES), generation=st.integers(1, 3), asks=st.booleans())
    def somebody_lies(self, *, task: str, whose: str, generation: int, asks: bool) -> None:
        holder, number = f"{whose}.gen-{generation}", self.world.number()
        lie = Ask(holder, task, f"lie-{number}") if asks else HandIn(holder, task, generation, f"lie-{number}")
        self.world.mail.append(lie)

    @precondition(lambda machine: machine.world.checkout == machine.world.base[-1].name)
    @rule()
    def somebody_moves_the_base(self) -> None:
        self.do(self.world.somebody_moves_base)

    @precondition(running)
    @rule(kill_in=st.integers(0, 5))
    def it_will_be_killed(self, kill_in: int) -> None:
        self.world.kill_in = kill_in

    @precondition(running)
    @rule(lost=st.integers(0, 20), forgotten=st.integers(0, 20))
    def the_power_fails(self, lost: int, forgotten: int) -> None:
        self.do(self.world.crash, lost=lost, forgotten=forgotten)

    @precondition(lambda machine: machine.world.landing is not None)
    @rule()
    def somebody_pauses_or_goes_on(self) -> None:
        self.do(self.world.pause)

    @precondition(lambda machine: machine.world.landing is not None)
    @rule(data=st.data())
    def somebody_cancels_a_task(self, data: st.DataObject) -> None:
        self.do(self.world.cancel, data.draw(st.sampled_from([task.id for task in self.world.plan.tasks])))

    @precondition(running)
    @rule()
    def a_provider_takes_no_requests(self) -> None:
        self.do(self.world.rest, "default")

    @precondition(running)
    @rule(moves=st.booleans())
    def the_user_interrupts(self, *, moves: bool) -> None:
        if self.world.gates_stop:
            self.do(self.world.conclude, moves=moves)
        else:
            self.do(self.world.interrupt)

    def teardown(self) -> None:
        if self.sound and hasattr(self, "world"):
            self.world.kill_in = None
            Player(self.world, random.Random(0)).play()


TestRunMachine = pytest.mark.exhaustive(RunMachine.TestCase)
TestRunMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_machine_finds_a_wrong_policy() -> None:
    class Wrong(RunMachine):
        policy = Policy(on_disk=lambda _journal: 0)

    # Shrinking takes half a minute, and is hypothesis's own promise.
    how = settings(max_examples=1000, deadline=None, database=None, phases=[Phase.generate], derandomize=True)
    with pytest.raises(Broken):
        run_state_machine_as_test(Wrong, settings=how)

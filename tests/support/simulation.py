"""One seed, one simulated run: a random plan, played by chance with crashes, lies and interrupts, while a witness watches.

Nothing is random but `random.Random(seed)`. `python -m tests.support.simulation SEED` tells the whole story of a seed.
"""

from __future__ import annotations

import contextlib
import random
import sys
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

from orchestrator.model.plan import Plan
from orchestrator.model.state import TaskStatus
from orchestrator.model.train_values import Rules, Slow
from orchestrator.model.unsplit import unsplit
from tests.support.simulated import Ending, SimulatedRun
from tests.support.simulated_landing import Fits, Verdict
from tests.support.witness import Broken
from tests.support.world import Ask, HandIn, Killed, Move, Policy, Routine, Waits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Player", "plan_of", "rules_of", "simulate", "story_of"]

_BOUND = 2000  # deeds; the longest of 10,000 runs takes 643
_REAL = Policy()
_BAD_ENDINGS = (
    Ending.LIED,
    Ending.LIED,
    Ending.FAILED,
    Ending.FAILED,
    Ending.TIMED_OUT,
    Ending.STALLED,
    Ending.USELESS,
    Ending.PUT_OFF,
)
_ONE = {"cost_usd": 0.5, "tokens": 10, "turns": 1, "wall": 1.0}  # what one attempt uses
_NEVER = {Waits.ANSWER}  # such a routine goes on when the board has answered
_LATE = {*_NEVER, Waits.GATES, Waits.MOVE}
_VERDICTS = (Verdict.PASSED, Verdict.PASSED, Verdict.FLAKED, Verdict.FAILED, Verdict.TIMED_OUT)
_BAD_VERDICTS = (*_VERDICTS, Verdict.NO_GATE, Verdict.FAULT)
_FAULTS: dict[Waits, Verdict | Move] = {Waits.MERGE: Verdict.FAULT, Waits.MOVE: Move.IN_THE_WAY}


def plan_of(
    needs: dict[str, list[str]], attempts: int | dict[str, int] = 2, *, more: dict[str, dict[str, Any]] | None = None,
    fallback: bool = False, **limits: Any,
) -> Plan:  # fmt: skip
    """Return a plan of these tasks: each with those it needs, and with `more` that it says."""
    tasks = tuple(
        {
            "id": name,
            "writes": (f"{name}.txt",),
            "needs": tuple(before),
            "attempts": attempts if isinstance(attempts, int) else attempts[name],
            "steps": ({"run": "true"},),
            **(more or {}).get(name, {}),
        }
        for name, before in needs.items()
    )
    return Plan.model_validate({
        "version": 1, "name": "p", "tasks": tasks, "limits": limits, "agents": {"other": {"kind": "script"}},
        "fallback": "sequential" if fallback else "none",
    })  # fmt: skip


def random_plan(rng: random.Random) -> Plan:
    """Return a plan of one to eight tasks, mostly few."""
    names = [f"t{n}" for n in range(1, rng.choice((1, 2, 2, 3, 3, 4, 5, 8)) + 1)]
    density = rng.random() * rng.choice((0, 0.5, 1))
    needs = {name: [b for b in names[:i] if rng.random() < density] for i, name in enumerate(names)}
    limits: dict[str, Any] = {}
    if rng.random() < 0.2:
        limits["cost_usd"] = rng.choice((0.0, 1.0, 3.0))
    if rng.random() < 0.2:
        limits["wall"] = f"{rng.randint(1, 60)}s"
    if rng.random() < 0.2:
        limits.update(_some(rng, 6, "tokens", "turns"))
    more: dict[str, dict[str, Any]] = {name: {} for name in names}
    for task in more.values():
        if rng.random() < 0.2:
            task["budget"] = _some(rng, 2, *_ONE)
        if rng.random() < 0.3:
            task["agent"] = "other"
    attempts = {name: rng.randint(1, 3) for name in names}
    return plan_of(needs, attempts, more=more, fallback=rng.random() < 0.5, **limits)


def _some(rng: random.Random, most: int, *kinds: str) -> dict[str, Any]:
    """Return a limit of one of these kinds, for at most so many attempts."""
    kind, attempts = rng.choice(kinds), rng.randint(1, most)
    return {kind: f"{attempts}s" if kind == "wall" else attempts * _ONE[kind]}


def rules_of(plan: Plan, *, apart: int = 0, **more: int) -> Rules:
    """Return the rules of a plan's merge train; each bit of `apart` says whether two tasks are taken for independent.

    That may be a mistake: whether they go together is not asked there.
    """
    pairs = [frozenset(pair) for pair in combinations((task.id for task in plan.tasks), 2)]
    known = {pair for n, pair in enumerate(pairs) if apart >> n & 1}
    place = {task.id: n for n, task in enumerate(plan.tasks)}
    return Rules(place=place, independent=lambda one, other: frozenset((one, other)) in known, **more)


def random_rules(rng: random.Random, plan: Plan) -> Rules:
    """Return rules with small windows, so that they matter."""
    apart = rng.choice((0, rng.getrandbits(28), -1))
    return rules_of(
        plan, apart=apart, window=rng.randint(1, 6), slots=rng.randint(1, 3), batch=rng.choice((1, 1, 2, 3))
    )


class Player:
    """Plays one run to its end by chance; as it is made, nothing goes wrong any more."""

    def __init__(self, world: SimulatedRun, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.fails = 0.0  # how likely an agent, or a deed of landing, ends badly
        self.slow = 0.0  # how likely gates and moves must wait for all else, so that the merge train grows
        self.odd = 0.0  # how likely something happens that nobody asked for
        self.at_moves = 0.0  # how likely the orchestrator is cut off while it moves the base branch
        self.crashes = self.interrupts = self.retries = 0  # how many are left

    @classmethod
    def of(cls, seed: int, policy: Policy) -> Player:
        """Return the player of a seed: how often things go wrong differs, too."""
        rng = random.Random(seed)
        plan, fails = random_plan(rng), rng.choice((0.0, 0.2, 0.5))
        world = SimulatedRun(
            plan, contracts=rng.random() < 0.5, policy=policy, rules=random_rules(rng, plan),
            fits=Fits(salt=seed, fails=fails / 2),
        )  # fmt: skip
        player = cls(world, rng)
        player.fails = fails
        player.slow = rng.choice((0.0, 0.8, 0.95))
        player.odd = rng.choice((0.0, 0.05, 0.2))
        player.at_moves = rng.choice((0.0, 0.1, 0.5))
        player.crashes = rng.choice((0, 1, 2, 4))
        player.interrupts = rng.choice((0, 0, 1, 2, 4))
        player.retries = rng.choice((0, 0, 1, 2))
        return player

    def play(self) -> None:
        """Play the run to its end, over every crash and interrupt.

        Raises:
            Broken: a promise of the run was broken, or it does not end.
        """
        for _ in range(_BOUND):
            if self.world.over and not self._goes_on():
                return
            self.step()
        raise Broken(f"the run does not end within {_BOUND} deeds")

    def _goes_on(self) -> bool:
        """Tell whether a run that is over is not the end: what failed is tried again, or one agent does it all."""
        if self.retries and self.world.state.with_status(TaskStatus.FAILED):
            return True
        before = self.world
        if not before.policy.falls_back(before.plan, before.state):
            return False
        plan = unsplit(before.plan)
        self.world = SimulatedRun(
            plan, contracts=before.contracts, policy=before.policy, rules=random_rules(self.rng, plan), fits=before.fits
        )
        self.world.follow(before)
        return True

    def step(self) -> None:
        """Do one deed; the run is not over, or what failed is to be tried again."""
        world, rng = self.world, self.rng
        if world.running:
            world.now += rng.random()
            self._do(self._deed())
        else:
            if self.crashes and rng.random() < 0.8:
                self.crashes -= 1
                world.kill_in = rng.randrange(rng.choice((8, 80)))  # mostly while it settles
            retry = self.retries > 0 and (world.over or rng.random() < 0.2)
            self.retries -= retry
            self._do(partial(world.take_up, rng.randint(1, 4), retry=retry))

    def _do(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except Killed:
            self._crash()
        self.world.witness.at_rest()

    def _crash(self) -> None:
        """Kill the orchestrator, or cut its power: then some of what was not forced to the disk is lost."""
        lost = forgotten = 0
        if self.rng.random() < 0.5:
            lost = self.rng.randint(0, len(self.world.journal) - self.world.synced)
            forgotten = self.rng.choice((0, 0, 1, 3, 100))
        self.world.crash(lost=lost, forgotten=forgotten)

    def _deed(self) -> Callable[[], None]:
        """Return one of the deeds that are due, or now and then one that nobody asked for."""
        world, rng = self.world, self.rng
        moving = any(routine.waits is Waits.MOVE for routine in world.deeds)
        if self.crashes + self.interrupts and rng.random() < (self.at_moves if moving else self.odd / 5):
            return self._cut_off()
        if rng.random() < self.odd:
            return self._odd_deed()
        not_now = _LATE if rng.random() < self.slow else _NEVER
        due: list[Routine | Ask | HandIn | None] = [*world.mail]
        due += [r for r in (*world.attempts.values(), *world.deeds) if r.waits not in not_now]
        due += () if due else world.deeds
        if world.state.paused and not due and not world.due:
            return world.pause  # nothing else would go on any more
        if world.due or not due:
            due.append(None)
        chosen = due[int(rng.random() * len(due))]
        if chosen is None:
            return world.drive
        if isinstance(chosen, Ask | HandIn):
            return partial(world.deliver, chosen, again=rng.random() < 0.1)
        return partial(world.go_on, chosen, self._end_of(chosen))

    def _end_of(self, routine: Routine) -> Ending | Verdict | Move | None:
        """Return how what a routine waits for ends."""
        world, rng = self.world, self.rng
        badly = rng.random() < self.fails
        if routine.waits is Waits.AGENT:
            if (world.agents_stop or routine.unwanted) and rng.random() < 0.8:
                return Ending.STOPPED
            return rng.choice(_BAD_ENDINGS) if badly else Ending.DONE
        if routine.waits is Waits.GATES:
            if routine.unwanted and rng.random() < 0.8:
                return Verdict.STOPPED
            return rng.choice(_BAD_VERDICTS if badly else _VERDICTS)
        if badly and routine.waits in _FAULTS and rng.random() < 0.2:
            return _FAULTS[routine.waits]
        return None

    def _cut_off(self) -> Callable[[], None]:
        """Return a crash, or an interrupt, the second of which ends the run at once."""
        if self.rng.randrange(self.crashes + self.interrupts) < self.crashes:
            self.crashes -= 1
            return self._crash
        self.interrupts -= 1
        if self.world.gates_stop:
            return partial(self.world.conclude, moves=self.rng.random() < 0.5)
        return self.world.interrupt

    def _odd_deed(self) -> Callable[[], None]:
        world, rng = self.world, self.rng
        what = rng.random()
        if what < 0.2 and world.checkout == world.base[-1].name:
            return world.somebody_moves_base
        if what < 0.4 and world.landing is not None and world.landing.gates:
            return partial(world.landing.tell, Slow(rng.choice(list(world.landing.gates))))
        if what < 0.6 and world.landing is not None:  # what people say is heard once the contracts stand
            said = rng.random()
            if said < 0.2:
                return partial(world.cancel, rng.choice(world.plan.tasks).id)
            return world.pause if said < 0.6 else partial(world.rest, rng.choice(("default", "other")))
        return partial(world.mail.append, self._lie())

    def _lie(self) -> Ask | HandIn:
        """Return a message that nobody should send: for a task that is not held, under a generation that is over or to come."""
        world, rng = self.world, self.rng
        task = rng.choice(world.plan.tasks).id
        generation = rng.randint(1, world.witness.begun[task] + 1)
        whose = rng.choice((task, task, rng.choice(world.plan.tasks).id))
        holder = f"{whose}.gen-{rng.choice((generation, generation, max(1, generation - 1)))}"
        if rng.random() < 0.1:
            return Ask(holder, task, nonce=f"lie-{world.number()}")
        return HandIn(holder, task, generation, f"lie-{world.number()}")


def simulate(seed: int, policy: Policy = _REAL, *, story: list[str] | None = None) -> None:
    """Play the run of a seed; its story is added to `story`.

    Raises:
        AssertionError: a promise was broken; the message names the seed, and how to be told its story.
    """
    player = Player.of(seed, policy)
    player.world.story = story
    try:
        player.play()
    except Exception as error:
        if story is not None:
            story.append(f"BROKEN: {error!r}")
        told = f"python -m tests.support.simulation {seed}"
        raise AssertionError(f"seed {seed}: {error!r}; its story: {told}") from error


def story_of(seed: int, policy: Policy = _REAL) -> str:
    """Return all that happens in the run of a seed, also if a promise is broken by it."""
    story: list[str] = []
    with contextlib.suppress(AssertionError):
        simulate(seed, policy, story=story)
    return "\n".join(story)


if __name__ == "__main__":
    print(story_of(int(sys.argv[1])))  # noqa: T201 - it is what was asked for

"""Landing, driven by itself: what may not land is refused, and what may lands as the train says, on a real repository."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.landing.gating import slots_for
from orchestrator.model import events as happened
from orchestrator.model.plan import MergePolicy
from orchestrator.model.train_values import Key, Status
from tests.support.landings import Bench, HastyLoop, a_landing
from tests.support.orch import write_plan
from tests.support.repos import make_repo

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

pytestmark = pytest.mark.unconfined  # its gates talk with the tests through files

IDLE = [{"run": "true"}]  # no agent is started here
SERVICE = "from abc import ABC\nclass IService(ABC):\n    def get(self) -> str: ...\n"


def tasks(*names: str, **writes: list[str]) -> list[dict[str, Any]]:
    return [{"id": name, "writes": writes.get(name, [f"{name}*"]), "steps": IDLE} for name in names]


def on_hasty_loop(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        runner.run(story)


def test_a_merge_that_drops_what_landed_before_is_refused(tmp_path: Path) -> None:
    """Work that claims to contain what landed meanwhile, and does not: git merges it without any conflict."""
    repo = make_repo(tmp_path / "repo", A_txt="one\n", B_txt="two\n")
    plan = write_plan(tmp_path / "p", tasks("A", "B"))
    start = repo.head()
    tip = repo.commit("by hand", A_txt="one\nmine\n")

    async def story() -> None:
        async with a_landing(repo, plan) as bench:
            dropping = bench.work("A", start, {"A.new": "new\n"}, onto=(tip,))
            keeping = bench.work("B", start, {"B.txt": "two\nmore\n"})
            await bench.hand_in(A=dropping, B=keeping)
            await bench.settled()
            assert bench.refused == {"A": "no-revert"}
            assert "'mine'" in bench.of(happened.Refused)[0].reason

    asyncio.run(story())
    assert repo.show("A.txt", "main") == "one\nmine\n"
    assert repo.files("main") == ["A.txt", "B.txt"]
    assert repo.show("B.txt", "main") == "two\nmore\n"


def test_what_a_merge_changes_out_of_scope_is_refused_at_landing(tmp_path: Path) -> None:
    """The task changes its own file, which somebody renames meanwhile: the merge would change the new one, out of its scope."""
    text = "".join(f"line {number}\n" for number in range(20))
    repo = make_repo(tmp_path / "repo", A_txt=text)
    plan = write_plan(tmp_path / "p", tasks("A"))
    start = repo.head()
    repo.git("mv", "A.txt", "other.txt")
    tip = repo.commit("renamed by hand")

    async def story() -> None:
        async with a_landing(repo, plan) as bench:
            await bench.hand_in(A=bench.work("A", start, {"A.txt": text + "more\n"}))
            await bench.settled()
            assert bench.refused == {"A": "boundary"}
            assert "other.txt" in bench.of(happened.Refused)[0].feedback

    asyncio.run(story())
    assert repo.head("main") == tip


def test_a_generation_that_goes_stale_while_its_gates_run_does_not_land(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    start = repo.head()
    gate = {"name": "g", "run": f"test ! -e A || until test -e {tmp_path}/go; do sleep 0.02; done"}
    plan = write_plan(tmp_path / "p", tasks("A"), gates=[gate])

    async def story() -> None:
        async with a_landing(repo, plan) as bench:
            await bench.hand_in(A=bench.work("A", start, {"A": "a\n"}))
            await bench.until(lambda: bool(bench.landing.train.running))
            bench.context.hub.open("A", at_least=1)
            (tmp_path / "go").touch()
            await bench.settled()
            assert bench.refused == {"A": ""}
            assert "generation 1 does not count any more" in bench.of(happened.Refused)[0].reason
            assert bench.of(happened.BaseMoving) == []

    asyncio.run(story())
    assert repo.head("main") == start


def contract(implementers: str) -> dict[str, Any]:
    """Return the part of a plan by which some tasks offer the same interface."""
    entries = [{"interface": "c.i:IService", "by": f"{name}:S", "task": name} for name in implementers]
    return {"contracts": {"files": {"c/i.py": SERVICE}, "implementations": entries}}


async def meet(bench: Bench, start: str) -> None:
    """Let the radar see unfinished work of both in one file."""
    for name in "AB":
        await bench.context.look_around(name, start, bench.work(name, start, {"shared.txt": f"{name}\n"}))
    (seen,) = bench.of(happened.OverlapSeen)
    assert {seen.task, seen.other} == {"A", "B"}


async def grant(bench: Bench, start: str) -> None:
    """Let B write a file of A, too, which nobody works on yet."""
    del start
    bench.context.emit(happened.Assigned(task="B", generation=1))
    assert bench.context.widen("B", 1, ("A.py",), "it is needed") == ""


@pytest.mark.parametrize(
    ("implementers", "learned", "passes"),
    [("", None, True), ("A", None, True), ("AB", None, False), ("", meet, False), ("", grant, False)],
    ids=["independent", "another contract", "one contract", "overlap was seen", "scope was widened"],
)
def test_work_lands_ahead_of_slow_work_if_it_is_independent_of_it(
    tmp_path: Path, implementers: str, learned: Any, *, passes: bool
) -> None:
    repo = make_repo(tmp_path / "repo", shared_txt="one\n", c__i_py=SERVICE)
    start = repo.head()
    gate = {"name": "g", "run": f"test ! -e A.py || until test -e {tmp_path}/go; do sleep 0.02; done"}
    more = contract(implementers) if implementers else {}
    plan = write_plan(tmp_path / "p", tasks("A", "B"), gates=[gate], merge={"slots": 2}, **more)
    source = "from c.i import IService\nclass S(IService):\n    def get(self) -> str:\n        return ''\n"

    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HastyLoop)
        async with a_landing(repo, plan) as bench:
            if learned is not None:
                await learned(bench, start)
            await bench.hand_in(**{name: bench.work(name, start, {f"{name}.py": source}) for name in "AB"})
            await bench.until(lambda: len(bench.landing.train.running) == 2)
            loop.ahead += 20
            await asyncio.sleep(0.02)
            assert not bench.landing.train.passed_by
            loop.ahead += 10
            await bench.until(lambda: Key("A", 1) in bench.landing.train.passed_by)
            assert [item.task for item in bench.landing.train.line] == (["B", "A"] if passes else ["A", "B"])
            if passes:
                await bench.landings[1]
            (tmp_path / "go").touch()
            await bench.settled()
            assert [event.task for event in bench.of(happened.Landed)] == (["B", "A"] if passes else ["A", "B"])

    on_hasty_loop(story())


def test_consecutive_work_that_has_passed_lands_in_one_move(tmp_path: Path) -> None:
    """The gates of the first are the last to end; then three are good, one behind the other."""
    repo = make_repo(tmp_path / "repo")
    start = repo.head()
    gate = {"name": "g", "run": f"test ! -e A || test -e B || until test -e {tmp_path}/go; do sleep 0.02; done"}
    plan = write_plan(tmp_path / "p", tasks("A", "B", "C"), gates=[gate], merge={"slots": 3})

    async def story() -> None:
        async with a_landing(repo, plan) as bench:

            def passed(name: str) -> bool:
                candidate = bench.landing.train.candidates.get(Key(name, 1))
                return candidate is not None and candidate.status is Status.PASSED

            await bench.hand_in(**{name: bench.work(name, start, {name: f"{name}\n"}) for name in "ABC"})
            await bench.until(lambda: passed("B") and passed("C"))
            assert repo.head("main") == start
            (tmp_path / "go").touch()
            await bench.settled()
            assert [event.tasks for event in bench.of(happened.BaseMoving)] == [("A", "B", "C")]

    asyncio.run(story())
    assert len(repo.git("reflog", "show", "main").splitlines()) == 2, "the first commit, and one move"
    assert repo.git("rev-list", "--first-parent", "--count", "main") == "4"


def test_a_batch_shares_one_gate_and_the_culprit_is_found(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    start = repo.head()
    # Each run writes down which tasks' work it sees; the base has none. What fails is run a second time.
    run = f"echo $(ls | grep -v README) >> {tmp_path}/runs; ! grep -q bad A B C D 2>/dev/null"
    plan = write_plan(
        tmp_path / "p", tasks("A", "B", "C", "D"), gates=[{"name": "g", "run": run}], merge={"batch": 4, "slots": 1}
    )

    async def story() -> None:
        async with a_landing(repo, plan) as bench:
            texts = {name: "bad\n" if name == "C" else "good\n" for name in "ABCD"}
            await bench.hand_in(**{name: bench.work(name, start, {name: text}) for name, text in texts.items()})
            await bench.settled()
            assert bench.refused == {"C": "gate:g"}
            assert [event.tasks for event in bench.of(happened.BaseMoving)] == [("A", "B"), ("D",)]

    asyncio.run(story())
    runs = [line for line in (tmp_path / "runs").read_text().splitlines() if line]
    assert runs == ["A B C D"] * 2 + ["A B"] + ["A B C"] * 2 + ["A B D"]
    assert repo.files("main") == ["A", "B", "D", "README.txt"]


@pytest.mark.parametrize(
    ("policy", "processors", "megabytes", "slots"),
    [
        ({}, 4, 100_000, 4),
        ({}, 64, 100_000, 8),  # the window
        ({}, 4, 1536, 3),
        ({}, 4, 1535, 2),
        ({}, 4, 10, 1),
        ({}, 4, 0, 1),
        ({"slots": 3}, 1, 10, 3),  # who says so knows
        ({"slots": 9, "window": 2}, 16, 100_000, 2),
    ],
)
def test_as_many_gates_run_at_once_as_there_is_memory_for(
    policy: dict[str, int], processors: int, megabytes: int, slots: int
) -> None:
    assert slots_for(MergePolicy.model_validate(policy), processors, megabytes << 20) == slots

"""The simulated model: plans that are valid, and that are as coupled, long and faulty as was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.compare.coupling import coupling_of_plan
from orchestrator.compare.series import Series, slots_of
from orchestrator.compare.simulate import Simulation, generate, is_simulation, read_simulation
from orchestrator.errors import UsageError
from orchestrator.model.graph import waves
from orchestrator.model.plan_steps import OnlyWhen, StreamFile, each_step
from orchestrator.model.together import groups_of, parts_of, unfit_for_it
from orchestrator.planfile import load_plan

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.planfile import LoadedPlan


def loaded(simulation: Simulation, seed: int, folder: Path) -> LoadedPlan:
    path = folder / "plan.yaml"
    path.write_text(generate(simulation, seed).plan)
    return load_plan(path)


_ANY = st.builds(
    Simulation, tasks=st.integers(2, 12), coupling=st.floats(0, 1), tokens=st.integers(20, 300), hot_file=st.booleans()
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(simulation=_ANY, seed=st.integers(0, 99))
def test_it_is_as_coupled_and_as_long_as_asked(tmp_path: Path, simulation: Simulation, seed: int) -> None:
    tasks, tokens = simulation.tasks, simulation.tokens
    found = loaded(simulation, seed, tmp_path)
    assert is_simulation(found.plan)
    assert unfit_for_it(found.plan, groups_of(found.plan, all_of_it=True)) == ""
    assert len(parts_of(found.plan)) == tasks
    assert coupling_of_plan(found, {}).share == pytest.approx(
        min(round(simulation.coupling * tasks), tasks - 1) / tasks
    )
    texts = [
        step.stream.text or ""
        for task in found.plan.tasks
        for _, step in each_step(task.steps)
        if isinstance(step, StreamFile)
    ]
    assert len(texts) == tasks
    assert all(abs(len(text) - 4 * tokens) <= 40 or text.count("\n") <= 6 for text in texts)


def test_tasks_wait_for_what_they_use_and_for_nothing_else(tmp_path: Path) -> None:
    def depth(coupling: float) -> int:
        plan = loaded(Simulation(tasks=8, coupling=coupling, tokens=50), 1, tmp_path).plan
        return len(waves({task.id: task.needs for task in plan.tasks}))

    assert [depth(coupling) for coupling in (0, 0.5, 1)] == [1, 3, 8]


def test_mistakes_follow_from_the_seed_and_the_second_attempt_is_right(tmp_path: Path) -> None:
    simulation = Simulation(tasks=200, tokens=20, errors=0.3)
    assert generate(simulation, 1) == generate(simulation, 1) != generate(simulation, 2)
    plan = loaded(simulation, 1, tmp_path).plan
    broken = [task for task in plan.tasks if any(isinstance(step, OnlyWhen) for step in task.steps)]
    assert 40 <= len(broken) <= 80
    assert generate(simulation.model_copy(update={"errors": 0.0}), 1).plan.count('"when"') == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "cannot be read"),
        ("3", "the file: "),
        ("{tasks: 2}", "tokens: field required"),
        ("{tasks: 2, tokens: 30, speed: 3}", "speed: extra inputs"),
        ("{tasks: 2, tokens: 30, coupling: 2}", "coupling: input should be less than or equal to 1"),
        ("{tasks: 2, tokens: 30, first_token: 1}", "is not a duration"),
    ],
)
def test_a_wrong_specification_is_told_key_by_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as told:
        read_simulation(path)
    assert words in told.value.message


def test_trials_are_blocks_in_random_order_and_more_of_them_move_none() -> None:
    def series(trials: int, seed: int = 1) -> Series:
        return Series(modes=("sequential", "worktree", "crdt"), jobs=(1, 4), trials=trials, warm_up=0, seed=seed)

    few, many = slots_of(series(3)), slots_of(series(20))
    assert many[: len(few)] == few
    assert [slot.position for slot in many] == list(range(1, 101))
    blocks = [[(slot.mode, slot.agents) for slot in many if slot.run == run] for run in range(1, 21)]
    assert all(sorted(block) == sorted(blocks[0]) and len(set(block)) == 5 for block in blocks)
    assert len({tuple(block) for block in blocks}) > 10
    assert slots_of(series(3, seed=2)) != few

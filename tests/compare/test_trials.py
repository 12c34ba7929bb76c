"""Rows of trials: read back as they were written, and refused in sentences that name the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.compare.arms import arms_of, pairs_of
from orchestrator.compare.measures import measures_of
from orchestrator.compare.trials import Trial, read_trials, trials_text
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
AMOUNTS = st.floats(0, 1e9) | st.none()
COUNTS = st.integers(0, 10**9)
TRIALS = st.builds(
    Trial,
    task=NAMES, mode=NAMES, run=COUNTS, wall_seconds=st.floats(1e-6, 1e9), agents=st.integers(1, 99) | st.none(),
    seed=st.integers() | st.none(), simulated=st.booleans(), parses=st.booleans() | st.none(), error=NAMES | st.just(""),
    cost_usd=AMOUNTS, tokens=COUNTS | st.none(), overhead=st.dictionaries(NAMES, st.floats(0, 1e6), max_size=2),
    conflicts=st.dictionaries(NAMES, COUNTS, max_size=2), scores=st.dictionaries(NAMES, st.floats(0, 100), max_size=2),
)  # fmt: skip


@given(st.lists(TRIALS, min_size=1, max_size=5, unique_by=lambda t: (t.task, t.mode, t.agents, t.run)))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, trials: list[Trial]) -> None:
    file = tmp_path_factory.mktemp("trials") / "trials.csv"
    file.write_bytes(trials_text(trials).encode())
    assert list(read_trials(file)) == trials


def test_published_names_of_columns_are_known(tmp_path: Path) -> None:
    file = tmp_path / "trials.csv"
    file.write_text(
        "task,mode,run_number,response_time,has_error,code_length,llm_code_quality,compile_success,ts_error_count\n"
        "a,parallel,1,2.5,False,4000,14,False,8\n"
        "a,parallel,2,9,True,,,,\n"
    )
    good, failed = read_trials(file)
    assert (good.run, good.wall_seconds, good.characters, good.scores, good.error) == (
        1,
        2.5,
        4000,
        {"code_quality": 14},
        "",
    )
    assert {m.key: m.value(good) for m in measures_of([good])} == {
        "wall_seconds": 2.5, "wall_seconds_per_1000": 0.625, "characters": 4000, "reported_errors_per_1000": 2.0,
        "score.code_quality": 14,
    }  # fmt: skip
    assert "error" in failed.error


HEAD = "task,mode,run,wall_seconds,parses\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column 'task' is missing; add it."),
        (HEAD, "holds no trial."),
        ("task,mode,run,wall_second\na,b,1,2\n", ":1: column 'wall_second' is unknown; did you mean 'wall_seconds'?"),
        ("task,mode,run\n", ":1: column 'wall_seconds' is missing; add it."),
        ("task,mode,run,wall_seconds,response_time\n", ":1: column 'wall_seconds' is there twice; keep one of them."),
        (HEAD + "a,b,1,2\n", ":2: has 4 values, the header has 5; give one for each column."),
        (HEAD + "a,b,1,2,\n\na,b,x,2,\n", ":4: column 'run' holds 'x'; write a valid integer, or leave it empty"),
        (HEAD + "a,b,1,nan,\n", ":2: column 'wall_seconds' holds 'nan'; write a finite number"),
        (HEAD + "a,b,1,0,\n", ":2: column 'wall_seconds' holds '0'; write greater than 0"),
        (HEAD + "a,b,1,,\n", ":2: a trial without `error` needs `wall_seconds`; give one of them."),
        (HEAD + ",b,1,2,\n", ":2: column 'task' is empty; every trial needs it."),
        (HEAD + "a,b,1,2,maybe\n", ":2: column 'parses' holds 'maybe'; write a valid boolean"),
        (HEAD + "a,b,1,2,\na,b,1,3,\n", ":3: the same task, mode, agents and run as in line 2; number them apart."),
        (HEAD + 'a,b,1,"2\n', ":2: no CSV: unexpected end of data."),
        (HEAD + "a,b,1,x,\n" * 7, "… and 2 more like these."),
        (b"task,mode\xff", "cannot be read: it is not UTF-8."),
        (None, "cannot be read: No such file or directory."),
    ],
)
def test_mistakes_are_named_with_their_place(text: str | bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "trials.csv"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as refused:
        read_trials(file)
    assert said in refused.value.message
    assert str(file) in refused.value.message
    assert refused.value.hint


def trial(mode: str, run: int = 1, agents: int | None = None) -> Trial:
    """Return a trial of one second."""
    return Trial(task="a", mode=mode, run=run, agents=agents, wall_seconds=1)


def test_what_does_not_parse_is_never_free_of_errors() -> None:
    broken = Trial(task="a", mode="crdt", run=1, wall_seconds=1, characters=1000, type_errors=0, parses=False)
    values = {m.key: m.value(broken) for m in measures_of([broken])}
    assert values["unparsed"] == 1
    assert "type_errors_per_1000" not in values


def test_everyone_is_compared_with_the_first_and_equals_with_each_other() -> None:
    trials = [trial("sequential", agents=1), *(trial(mode, agents=n) for mode in ("crdt", "worktree") for n in (2, 8))]
    one = [trial("sequential"), *(trial("crdt", agents=n) for n in (1, 2))]
    assert [arm.label for arm in arms_of(one)] == ["sequential", "crdt, 1 agent", "crdt, 2 agents"]
    assert [pair.label for pair in pairs_of(arms_of(trials))] == [
        "worktree, 2 agents against sequential",
        "worktree, 8 agents against sequential",
        "crdt, 2 agents against sequential",
        "crdt, 8 agents against sequential",
        "crdt, 2 agents against worktree, 2 agents",
        "crdt, 8 agents against worktree, 8 agents",
    ]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="all trials are of mode 'crdt'"):
        arms_of([trial("crdt")])
    with pytest.raises(UsageError, match="Some trials of mode 'crdt' say how many agents"):
        arms_of([trial("sequential"), trial("crdt", 1, 2), trial("crdt", 2)])

"""Figures of many files: each counts once a rule, and the last rows sum up the modes."""

from __future__ import annotations

from orchestrator.syntax.figures import ALL_TASKS, Output, figures

SOUND = "export const a = 1;\n"


def output(task: str, mode: str, text: str) -> Output:
    return Output(task=task, mode=mode, path="a.ts", text=text)


def test_a_row_a_task_and_mode_and_one_a_mode() -> None:
    rows = figures(
        [
            output("game", "parallel", SOUND),
            output("game", "parallel", "// TODO:A\n// TODO:B\nconst = 1;\n"),
            output("game", "sequential", SOUND),
            output("form", "parallel", "// TODO:A\n"),
        ]
    )
    assert [(row.task, row.mode, row.files) for row in rows] == [
        ("form", "parallel", 1),
        ("game", "parallel", 2),
        ("game", "sequential", 1),
        (ALL_TASKS, "parallel", 3),
        (ALL_TASKS, "sequential", 1),
    ]
    game, whole = rows[1], rows[3]
    assert (game.share("todo"), game.share("syntax"), game.share("unresolved"), game.with_any) == (0.5, 0.5, 0.0, 1)
    assert (whole.with_rule["todo"], whole.with_any, whole.characters) == (2, 2, 20 + 31 + 10)
    assert figures([]) == ()

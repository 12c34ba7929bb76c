"""Errors of type in what a trial wrote, as mypy counts them; what it cannot check has no count."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from orchestrator.compare.type_errors import type_errors

if TYPE_CHECKING:
    from pathlib import Path

WRONG = 'from pkg.b import f\n\n\ndef g():\n    return f() + "a"\n'
RIGHT = WRONG.replace('"a"', "123")
HELPER = "def f() -> int:\n    return 1\n"


def test_errors_are_counted_across_files_and_nothing_is_taken_from_an_earlier_call(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()

    async def count(**files: str) -> int | None:
        return await type_errors({f"{name.replace('_', '/')}.py": text for name, text in files.items()}, work)

    async def counts() -> list[int | None]:
        shadowing = "raise SystemExit(0)\n"  # named like a module that mypy itself imports
        return [
            await count(a=WRONG, pkg_b=HELPER),
            await count(a=RIGHT, pkg_b=HELPER, argparse=shadowing),  # as long as before, and in the same second
            await count(a=WRONG, pkg_b=HELPER),
            await count(a="def f(:\n"),
            await type_errors({"a.ts": "let x: number = 'a'"}, work),
        ]

    assert asyncio.run(counts()) == [1, 0, 1, None, None]
    assert [path.name for path in work.iterdir()] == ["mypy"]

"""Child processes: real ones, stopped for real."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from orchestrator.errors import ProcessError
from orchestrator.process import Ending, Exit, Ladder, clean_environment, run_group
from tests.support.processes import alive

SHORT = Ladder(interrupt=0.3, terminate=0.3)


class Heard:
    """What a child printed, and an event for its first word."""

    def __init__(self) -> None:
        self.data = b""
        self.first = asyncio.Event()

    def __call__(self, chunk: bytes) -> None:
        self.data += chunk
        self.first.set()


async def gone(pid: int) -> bool:
    """Wait until a killed process has really ended."""
    for _ in range(200):
        if not alive(pid):
            return True
        await asyncio.sleep(0.01)
    return False


def run(command: str | list[str], heard: Heard, **options: object) -> Exit:
    async def main() -> Exit:
        return await run_group(command, cwd=Path("/"), env=clean_environment(), on_output=heard, **options)  # type: ignore[arg-type]

    return asyncio.run(main())


def test_output_input_and_exit_code() -> None:
    heard = Heard()
    ended = run("cat; echo err >&2; exit 3", heard, stdin=b"hello ")
    assert (ended.code, ended.ending, heard.data) == (3, Ending.EXITED, b"hello err\n")


def test_a_child_that_does_not_read_its_input_is_no_error() -> None:
    assert run("exit 0", Heard(), stdin=b"x" * 1_000_000).code == 0


def test_an_argument_list_goes_to_no_shell() -> None:
    heard = Heard()
    run(["echo", "$HOME; exit 1"], heard)
    assert heard.data == b"$HOME; exit 1\n"


def test_wall_time_and_silence_end_a_child() -> None:
    assert run("sleep 60", Heard(), wall=0.2, ladder=SHORT).ending is Ending.TIMED_OUT
    noisy = Heard()
    assert (
        run("while :; do echo x; sleep 0.05; done", noisy, wall=0.6, stall=0.4, ladder=SHORT).ending is Ending.TIMED_OUT
    )
    assert run("echo x; sleep 60", Heard(), wall=30.0, stall=0.2, ladder=SHORT).ending is Ending.STALLED


@pytest.mark.parametrize("command", ["trap '' INT TERM; echo up; sleep 60 & wait; sleep 60", "echo up; sleep 60"])
def test_a_stop_is_polite_first_and_firm_in_the_end(command: str) -> None:
    async def main() -> Exit:
        stop, heard = asyncio.Event(), Heard()
        child = asyncio.create_task(
            run_group(command, cwd=Path("/"), env=clean_environment(), on_output=heard, stop=stop, ladder=SHORT)
        )
        await heard.first.wait()
        stop.set()
        return await child

    ended = asyncio.run(main())
    assert ended.ending is Ending.STOPPED
    assert ended.code < 0


def test_a_child_that_cleans_up_on_interrupt_may() -> None:
    async def main() -> bytes:
        stop, heard = asyncio.Event(), Heard()
        child = asyncio.create_task(
            run_group("trap 'echo bye; exit 0' INT; echo up; while :; do sleep 0.05; done", cwd=Path("/"),
                      env=clean_environment(), on_output=heard, stop=stop)
        )  # fmt: skip
        await heard.first.wait()
        stop.set()
        await child
        return heard.data

    assert asyncio.run(main()) == b"up\nbye\n"


def test_nothing_that_a_child_started_outlives_it() -> None:
    async def main() -> bool:
        heard = Heard()
        ended = await run_group("sleep 60 & echo $!", cwd=Path("/"), env=clean_environment(), on_output=heard)
        assert ended.code == 0
        return await gone(int(heard.data))

    assert asyncio.run(main())


def test_cancelling_kills_the_whole_group() -> None:
    async def main() -> bool:
        heard = Heard()
        child = asyncio.create_task(
            run_group("trap '' INT TERM; echo $$; sleep 60", cwd=Path("/"), env=clean_environment(), on_output=heard)
        )
        await heard.first.wait()
        child.cancel()
        with pytest.raises(asyncio.CancelledError):
            await child
        return await gone(int(heard.data))

    assert asyncio.run(main())


def test_a_program_that_is_not_there_is_said_by_name() -> None:
    with pytest.raises(ProcessError, match="no-such-program cannot be started"):
        run(["no-such-program"], Heard())


def test_the_environment_of_an_outer_git_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nonsense")
    environment = clean_environment({"EXTRA": "1"})
    assert "GIT_DIR" not in environment
    assert environment["EXTRA"] == "1"
    assert environment["HOME"] == os.environ["HOME"]

"""Child processes: real ones, stopped for real."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import ProcessError
from orchestrator.processes.orphans import adopting, kill, processes_in, remember
from orchestrator.processes.process import Ending, Exit, Ladder, clean_environment, end_group_of, run_group
from orchestrator.processes.table import all_processes, find, parse_stat
from tests.support.processes import alive

pytestmark = pytest.mark.e2e

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
                      env=clean_environment(), on_output=heard, stop=stop, ladder=Ladder(interrupt=60))
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


MARKS = {"ORCH_RUN_FOLDER": "/r", "ORCH_TASK": "A", "ORCH_GENERATION": "1"}
# The pipe, because the command must not end before what it leaves has left its group.
SILENT = "exec sleep 1000 < /dev/null > /dev/null 2>&1"
LEFT = f"mkfifo told; setsid env -i sh -c 'echo $$ > told; {SILENT}' & cat told"
LEFT_ELSEWHERE = LEFT.replace("exec", "cd /; exec")


async def leave(command: str, folder: Path, env: dict[str, str] | None = None) -> int:
    """Run a command that leaves a process, and return the number that it prints."""
    heard = Heard()
    await run_group(command, cwd=folder, env=clean_environment(env), on_output=heard)
    return int(heard.data)


@pytest.mark.parametrize(
    "command",
    [
        LEFT,  # it works in the folder
        f"exec 5> held; {LEFT_ELSEWHERE}",  # it has a file open there
        f"cp $(command -v sleep) .; {LEFT_ELSEWHERE.replace('sleep', '$OLDPWD/sleep')}",  # it is a program from there
        LEFT_ELSEWHERE.replace("env -i", ""),  # it carries the marks
        LEFT_ELSEWHERE.replace("> /dev/null 2>&1", ""),  # it holds the output
        LEFT.replace("sh -c '", f"sh -c '(cd /; exec setsid {SILENT[5:]}) & ").replace("$$", "$!"),  # its parent does
    ],
)
def test_what_leaves_its_group_and_clears_its_environment_is_ended_with_it(tmp_path: Path, command: str) -> None:
    async def main() -> int:
        async with adopting():
            pid = await leave(command, tmp_path, MARKS)
            assert await gone(pid)
        return pid

    assert find(asyncio.run(main())) is None  # collected, too


def test_an_orphan_that_cannot_be_told_from_others_is_ended_when_the_run_ends(tmp_path: Path) -> None:
    async def main() -> int:
        async with adopting():
            pid = await leave(LEFT_ELSEWHERE, tmp_path)
            assert alive(pid)
        return pid

    assert find(asyncio.run(main())) is None


def test_what_we_started_ourselves_and_what_was_here_before_is_nobodys_orphan(tmp_path: Path) -> None:
    async def main() -> None:
        async with adopting():
            ours = remember(lambda: subprocess.Popen(["sleep", "1000"], cwd=tmp_path, start_new_session=True))
            await leave(LEFT, tmp_path)
        assert ours.poll() is None
        assert earlier.poll() is None
        ours.kill()
        assert ours.wait() == -9

    with subprocess.Popen(["sleep", "1000"], cwd=tmp_path, start_new_session=True) as earlier:
        asyncio.run(main())
        earlier.kill()


def test_exit_codes_are_right_while_orphans_are_collected(tmp_path: Path) -> None:
    async def main() -> list[int]:
        async with adopting():
            groups = [
                run_group(
                    f"(setsid env -i true &); exit {code}", cwd=tmp_path, env=clean_environment(), on_output=Heard()
                )
                for code in range(1, 20)
            ]
            return [ended.code for ended in await asyncio.gather(*groups)]

    assert asyncio.run(main()) == list(range(1, 20))
    assert not [p for p in all_processes() if p.parent == os.getpid() and p.ended]


def test_a_number_that_is_anothers_by_now_is_not_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], cwd=tmp_path, start_new_session=True) as person:
        process = find(person.pid)
        assert process is not None
        kill(replace(process, started=process.started + 1))
        assert not asyncio.run(end_group_of(process.pid, process.started + 1))
        assert person.poll() is None
        kill(process)
        assert person.wait() == -9


def test_we_and_what_we_descend_from_and_what_we_started_are_never_found_or_ended(tmp_path: Path) -> None:
    me = find(os.getpid())
    assert me is not None
    parent = find(me.parent)
    assert parent is not None
    with subprocess.Popen(["sleep", "1000"], cwd=tmp_path, start_new_session=True) as child:
        assert not processes_in(tmp_path)
        started = find(child.pid)
        assert started is not None
        for process in (me, parent, started):
            assert not asyncio.run(end_group_of(process.pid, process.started))
        child.kill()


def test_a_process_may_have_any_name() -> None:
    numbers = b"S 7 8 9 34816 -1 " + b"0 " * 13 + b"4711 0"
    process = parse_stat(b"12 (a) b (c\n) " + numbers)
    assert process is not None
    assert (process.pid, process.name, process.parent, process.session) == (12, "a) b (c\n", 7, 9)
    assert (process.terminal, process.started, process.ended) == (34816, 4711, False)
    assert [parse_stat(cut) for cut in (b"", b"12 (a", b"12 (a) S 1 2")] == [None, None, None]

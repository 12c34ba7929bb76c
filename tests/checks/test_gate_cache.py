"""The cache of gates that passed: what is found again, what is not, and what a damaged or full folder does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.checks.gate_cache import GateCache, key_of, toolchain_of
from orchestrator.model.gates import CaseState, GateEnding, GateOutcome
from orchestrator.model.plan import Gate

if TYPE_CHECKING:
    from pathlib import Path

GATE = Gate(name="g", run="true")
TREE = "a" * 40
KEY = key_of(GATE, TREE, {"PATH": "/usr/bin:/bin"})
PASSED = GateOutcome(
    ending=GateEnding.EXITED, code=0, seconds=1.5, tests={"t": CaseState.PASSED, "ü": CaseState.SKIPPED}, remark="r"
)


def test_what_passed_is_found_again_by_another_object(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "gate-cache"
    assert GateCache(folder).get(KEY) is None
    GateCache(folder).put(KEY, replace(PASSED, said="last words", output="gates/x.log"))
    assert GateCache(folder).get(KEY) == PASSED
    assert [path.name for path in folder.iterdir()] == [KEY.file]


@pytest.mark.parametrize(
    "outcome",
    [
        replace(PASSED, code=1),
        replace(PASSED, ending=GateEnding.TIMED_OUT),
        replace(PASSED, tests={"t": CaseState.FAILED}),
        replace(PASSED, tests={"t" * 17_000_000: CaseState.PASSED}),  # too large to be kept
    ],
    ids=range(4),
)
def test_nothing_else_is_kept(tmp_path: Path, outcome: GateOutcome) -> None:
    cache = GateCache(tmp_path / "cache")
    cache.put(KEY, outcome)
    assert cache.get(KEY) is None
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("gate", "tree", "environment"),
    [
        (GATE, "b" * 40, {"PATH": "/usr/bin:/bin"}),
        (Gate(name="g", run="true "), TREE, {"PATH": "/usr/bin:/bin"}),
        (Gate(name="h", run="true"), TREE, {"PATH": "/usr/bin:/bin"}),
        (GATE, TREE, {"PATH": "/bin:/usr/bin"}),
        (GATE, TREE, {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/x"}),
    ],
)
def test_another_tree_gate_or_environment_is_another_entry(
    tmp_path: Path, gate: Gate, tree: str, environment: dict[str, str]
) -> None:
    GateCache(tmp_path).put(KEY, PASSED)
    other = key_of(gate, tree, environment)
    assert other.file != KEY.file
    assert GateCache(tmp_path).get(other) is None
    (tmp_path / KEY.file).rename(tmp_path / other.file)  # an entry that was put in another's place
    assert GateCache(tmp_path).get(other) is None


def test_the_toolchain_is_the_programs_that_the_command_names(tmp_path: Path) -> None:
    program = tmp_path / "venv" / "bin" / "tool"
    packages = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    program.parent.mkdir()
    (tmp_path / "real").write_text("#!/bin/sh\n")
    (tmp_path / "real").chmod(0o755)
    program.symlink_to(tmp_path / "real")
    seen: list[str] = []

    def changed() -> bool:
        seen.append(toolchain_of("A=1 tool --x='$HOUSE' $ORCH_JUNIT", environment))
        return seen[-1] not in seen[:-1]

    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOUSE": "1", "OTHER": "1", "ORCH_JUNIT": "1"}
    assert changed()
    environment |= {"OTHER": "2", "ORCH_JUNIT": "2"}
    assert not changed()
    environment["HOUSE"] = "2"
    assert changed()
    (tmp_path / "real").write_text("#!/bin/sh\nexit 1\n")
    assert changed()
    os.utime(tmp_path / "real", (1, 1))
    assert changed()
    (packages / "new").mkdir()
    assert changed()
    (tmp_path / "other").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "other").chmod(0o755)
    program.unlink()
    program.symlink_to(tmp_path / "other")
    assert changed()
    program.unlink()
    assert changed()
    assert not changed()


@pytest.mark.parametrize("command", ["", "it's broken", "a\0b", "\udcff", "x" * 5000, ". .. / ./x ../x ~ {a,b} `x`"])
def test_any_command_has_a_toolchain(command: str) -> None:
    assert toolchain_of(command, {}) == toolchain_of(command, {})
    assert toolchain_of(command, {"PATH": ".:/bin::"}) != toolchain_of(command, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_entry_never_tells_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    cache, path = GateCache(tmp_path), tmp_path / KEY.file
    cache.put(KEY, PASSED)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "zeros"])):
        case "flip":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del content[place:]
        case "zeros":
            content[place:] = bytes(len(content) - place)
    path.write_bytes(content)
    assert cache.get(KEY) in (None, PASSED)  # PASSED: what is damaged is the name of a field that holds its default
    cache.put(KEY, PASSED)
    assert cache.get(KEY) == PASSED


def test_what_stands_in_the_place_of_an_entry_is_none_and_no_error(tmp_path: Path) -> None:
    cache, path = GateCache(tmp_path / "folder"), tmp_path / "folder" / KEY.file
    path.mkdir(parents=True)
    cache.put(KEY, PASSED)
    assert cache.get(KEY) is None
    path.rmdir()
    os.mkfifo(path)
    assert cache.get(KEY) is None
    cache.put(KEY, PASSED)
    assert cache.get(KEY) == PASSED
    (tmp_path / "file").write_text("")
    GateCache(tmp_path / "file").put(KEY, PASSED)
    assert GateCache(tmp_path / "file").get(KEY) is None


def test_those_that_were_not_used_for_longest_make_room(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "journal").write_text("not ours")
    (folder / ".new-left").write_text("of a killed process")
    os.utime(folder / ".new-left", (0, 0))
    cache, keys = GateCache(folder, most=3), [replace(KEY, tree=str(n)) for n in range(5)]
    for n, key in enumerate(keys[:3], start=1):
        cache.put(key, PASSED)
        os.utime(folder / key.file, (n, n))
    assert not (folder / ".new-left").exists()
    assert cache.get(keys[0]) == PASSED
    for key in keys[3:]:
        cache.put(key, PASSED)
    assert [cache.get(key) is not None for key in keys] == [True, False, False, True, True]
    assert {path.name for path in folder.iterdir()} == {"journal", *(keys[n].file for n in (0, 3, 4))}


def test_a_process_that_is_killed_while_it_writes_leaves_whole_entries(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "from orchestrator.checks.gate_cache import GateCache\n"
        "from tests.checks.test_gate_cache import KEY, PASSED\n"
        "cache = GateCache(Path(sys.argv[1]))\nprint('up', flush=True)\n"
        "for n in range(10**9): cache.put(replace(KEY, tree=str(n % 50)), PASSED)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"up\n"
        cache = GateCache(tmp_path)
        while cache.get(replace(KEY, tree="20")) is None:
            assert writer.poll() is None
        writer.kill()
    kept = [cache.get(replace(KEY, tree=str(n))) for n in range(21)]
    assert kept == [PASSED] * 21


def test_many_threads_may_use_it_at_once(tmp_path: Path) -> None:
    wrong: list[GateOutcome] = []

    def use(number: int) -> None:
        cache = GateCache(tmp_path, most=5)
        for n in range(40):
            key = replace(KEY, tree=str((n + number) % 10))
            cache.put(key, replace(PASSED, seconds=float(key.tree)))
            found = cache.get(key)
            if found is not None and found.seconds != float(key.tree):
                wrong.append(found)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len([path for path in tmp_path.iterdir() if path.suffix == ".json"]) <= 5

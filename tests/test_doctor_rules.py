"""What the doctor decides from what it has found, without a machine to find it on."""

from __future__ import annotations

import pytest

from orchestrator.doctor.locks import Evidence, why_not_dead
from orchestrator.doctor.machine import Machine, file_system_of, git_version, lines_on, problems_of

LOCK = "/r/.git/packed-refs.lock"
MOUNTS = """22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
28 27 0:30 / /home rw - btrfs /dev/b rw
29 28 0:31 / /home rw - xfs /dev/c rw
30 27 0:32 / /mnt/with\\040space rw master:1 - nfs4 server:/ rw
a line that is cut
"""


@pytest.mark.parametrize(
    ("complete", "openers", "gits", "run", "owner", "why"),
    [
        (True, {}, (), "", 7, ""),
        (True, {"/r/.git/HEAD.lock": 5}, (), "", 7, ""),
        (False, {}, (), "", 7, "this system does not show"),
        (True, {LOCK: 5}, (), "", 7, "process 5 has it open"),
        (True, {}, (6, 8), "", 7, "process 6"),
        (True, {}, (), "r", 7, "working on the run r"),
        (True, {}, (), "", 8, "another user's"),
    ],
)
def test_a_lock_is_dead_only_if_nothing_speaks_for_its_life(
    *, complete: bool, openers: dict[str, int], gits: tuple[int, ...], run: str, owner: int, why: str
) -> None:
    evidence = Evidence(complete=complete, openers=openers, gits=gits, run=run)
    said = why_not_dead(LOCK, owner, evidence, user=7)
    assert why in said
    assert bool(said) == bool(why)


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.39.5", (2, 39)), ("2.50.1 (Apple Git-155)", (2, 50)), ("3.0.rc1.windows.1", (3, 0)), ("unknown", (0, 0))],
)
def test_the_version_of_git_is_read(text: str, version: tuple[int, int]) -> None:
    assert git_version(text) == version


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/homework/x", "ext4"),
        ("/home/a", "xfs"),
        ("/mnt/with space/x", "nfs4"),
        ("/proc/1", "proc"),
    ],
)
def test_the_innermost_mount_counts_and_of_two_the_later_one(path: str, kind: str) -> None:
    assert file_system_of(path, MOUNTS) == kind
    assert file_system_of(path, "") == "unknown"


@pytest.mark.parametrize(
    ("git", "home", "writable", "free", "problems", "warnings"),
    [
        ("2.38.0", "/h", True, 1 << 30, 0, 0),
        ("2.37.9", "/h", True, 1 << 30, 1, 0),
        ("2.39.5", None, True, 1 << 30, 1, 0),
        ("2.39.5", "/h", False, 1 << 30, 1, 0),
        ("2.39.5", "/h", True, (1 << 30) - 1, 0, 1),
    ],
)
def test_what_a_run_needs_is_said_if_it_is_not_there(
    *, git: str, home: str | None, writable: bool, free: int, problems: int, warnings: int
) -> None:
    machine = Machine(
        git=git,
        python="3",
        processors=2,
        home=home,
        no_home="none",
        file_system="ext4",
        free=free,
        writable=writable,
        technique="pool",
    )
    assert len(problems_of(machine)) == problems
    lines = list(lines_on(machine))
    assert sum(line.startswith("problem: ") for line in lines) == problems
    assert sum(line.startswith("warning: ") for line in lines) == warnings

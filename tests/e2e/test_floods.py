"""What agents say and start in numbers, or in odd letters: it stays words, has bounds, and ends with the attempt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.confine import landlock
from tests.support.orch import orch, write_plan
from tests.support.repos import make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e


NOBODY = 65534
TOO_MANY = 5000  # threads; 4096 may be started, and a few more if others of the user end meanwhile


def test_whatever_a_prompt_or_a_name_says_is_no_command_and_moves_no_cursor(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    evil = f"$(touch {tmp_path}/ran) `touch {tmp_path}/ran`; touch {tmp_path}/ran\n'; touch {tmp_path}/ran; '"
    cursor = "\x1b[2J\x1b]0;evil\x07\u202egnp.exe\u2066\x9b31m"
    tasks: list[dict[str, Any]] = [
        {"id": "A", "title": "$(touch ran)", "prompt": evil, "writes": ["a/**"], "agent": "cat"},
        {"id": "B", "writes": ["b/**"], "attempts": 1,
         "steps": [{"report": cursor}, {"run": f"printf '{cursor}' > b/f; touch \"b/$(printf '{cursor}')\""},
                   {"fail": cursor}]},
    ]  # fmt: skip
    agents = {"cat": {"kind": "command", "command": ["/bin/sh", "-c", "mkdir a; cat > a/prompt", "$(touch ran)"]}}
    said = orch("run", write_plan(tmp_path / "p", tasks, agents=agents), cwd=repo.path, env={"ORCH_CONFINE": "audit"})
    assert said.code == 1
    assert f"$(touch {tmp_path}/ran)" in repo.show("a/prompt")
    assert not (tmp_path / "ran").exists()
    assert not (repo.path / "ran").exists()
    for shown in (said.out + said.err, orch("status", cwd=repo.path).out, orch("log", cwd=repo.path).out):
        assert not {"\x1b", "\x07", "\u202e", "\u2066", "\x9b"} & set(shown)


FLOOD = """
import json, os, sys, urllib.error, urllib.request
def call(tool, token=os.environ["ORCH_TOKEN"], **arguments):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
               "Authorization": "Bearer " + token}
    request = urllib.request.Request(os.environ["ORCH_MCP_URL"], json.dumps(body).encode(), headers)
    try:
        return urllib.request.urlopen(request).read().decode()
    except urllib.error.HTTPError as refused:
        return str(refused.code)
os.makedirs("f", exist_ok=True)
token = os.environ["ORCH_TOKEN"]
forged = token.replace("flooder", "B").replace("A.gen-1", "B.gen-1")
assert not os.path.exists(os.path.join(os.environ["ORCH_RUN_FOLDER"], "board.url"))  # the owner's token would be in it
with open("f/said", "w") as file:
    print("forged", call("board_read", forged if forged != token else "x" + token), file=file)
    print("none", call("board_read", ""), file=file)
    asked = [call("ask", question="and?") for _ in range(40)]
    print("asked", asked[0], asked[-1], file=file)
    told = [call("report_progress", text=str(number) + "x" * 50_000) for number in range(40)]
    print("told", told[-1], file=file)
"""


def test_a_token_is_its_owners_and_neither_questions_nor_reports_fill_the_board(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    agents = {"flooder": {"kind": "command", "command": [sys.executable, "-c", FLOOD], "network": []}}
    tasks = [{"id": "A", "writes": ["f/**"], "agent": "flooder", "attempts": 1}]
    said = orch("run", write_plan(tmp_path / "p", tasks, agents=agents), cwd=repo.path)
    assert said.code == 0, said.out
    forged, none, asked, told = repo.show("f/said").splitlines()
    assert (forged, none) == ("forged 401", "none 401")
    assert "not answered yet" in asked
    assert "has 20 open questions" in asked
    assert "It is on the board" in told
    board = next((repo.path / ".git/orch").glob("*/board.log"))
    assert board.stat().st_size < 500_000, "of the two megabytes that it said"


def test_a_swarm_of_processes_ends_with_its_attempt(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    swarm = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); setsid env -i sleep 98765 & done; mkdir -p a; echo x > a/f"
    task = {"id": "A", "writes": ["a/**"], "attempts": 1, "steps": [{"run": swarm}]}
    said = orch("run", write_plan(tmp_path / "p", [task]), cwd=repo.path)
    assert said.code == 0, said.out
    assert not [command for command in commands_that_run() if b"98765" in command]


# Threads count as processes do, and take less of the machine. At the end, one real process more.
BOMB = """
import os, threading
over, count = threading.Event(), 0
threading.stack_size(65536)
try:
    while count < 20_000:
        threading.Thread(target=over.wait, daemon=True).start()
        count += 1
except RuntimeError:
    pass
try:
    os.fork() or os._exit(0)
    print("one more process")
except BlockingIOError:
    print("no more processes")
print(count, flush=True)
os._exit(0)
"""


def test_a_fork_bomb_of_an_ordinary_user_meets_its_limit(tmp_path: Path) -> None:
    """What starts every confined program is started here as it is there; for root, as a user who has nothing else running."""
    pids = Path("/sys/fs/cgroup/pids.max")
    if pids.is_file() and pids.read_text().strip().isdigit() and int(pids.read_text()) < 2 * TOO_MANY:
        pytest.skip("this machine lets all its users together have too few processes to try it")
    root = os.getuid() == 0
    python = next((place for place in (sys.executable, "/usr/bin/python3") if not root or open_to_all(place)), None)
    if python is None:
        pytest.skip("root's processes are not counted, and no Python here can be started by another user")
    launcher = shutil.copy(landlock.__file__, Path(tempfile.mkdtemp(prefix="orch-test-", dir="/tmp")) / "launcher.py")
    try:
        Path(launcher).parent.chmod(0o755)
        limits = json.dumps({"write": None})
        command = [python, "-I", launcher, limits, python, "-I", "-c", BOMB]
        user = NOBODY if root else None
        done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False, timeout=60)
    finally:
        shutil.rmtree(Path(launcher).parent)
    assert done.returncode == 0, done.stderr
    said, count = done.stdout.splitlines()
    assert said == "no more processes"
    assert int(count) < TOO_MANY


def open_to_all(program: str) -> bool:
    """Tell whether every user may start a program where it really lies."""
    place = Path(program).resolve()
    return place.is_file() and all(above.stat().st_mode & 0o005 == 0o005 for above in (place, *place.parents))


def commands_that_run() -> Iterator[bytes]:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield place.read_bytes()

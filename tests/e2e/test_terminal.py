"""On a real terminal: a table that changes in place, lines above it, and a summary that fits."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

from tests.support.orch import ORCH, plan_text, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


class Terminal:
    """A process with a terminal of its own, of 80 columns unless told otherwise."""

    def __init__(self, *arguments: str | Path, cwd: Path, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        env = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*ORCH, *map(str, arguments)],
            cwd=cwd,
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""

    def until(self, text: str | None) -> str:
        """Read until the text was shown, or to the end; return all that was shown so far."""
        while text is None or text not in self.seen:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # the other side has closed
                chunk = b""
            if not chunk:
                assert text is None, self.seen
                break
            self.seen += chunk.decode(errors="replace")
        return self.seen


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


@pytest.mark.parametrize("columns", [80, 40])
def test_a_run_is_shown_as_it_goes(repo: Repo, tmp_path: Path, columns: int) -> None:
    steps = [{"report": "hello"}, {"sleep": "600ms"}]
    tasks = [{"id": f"T-{n}", "writes": [f"{n}"], "steps": steps} for n in range(3)]
    terminal = Terminal("run", write_plan(tmp_path / "p", tasks), "--jobs", "3", cwd=repo.path, columns=columns)
    terminal.until("last words")  # the table's heading
    shown = terminal.until(None)
    assert terminal.process.wait() == 0, shown
    assert "0/3 landed" in shown
    assert "working" in shown
    assert "3 of 3 tasks landed on main" in shown
    rows = [line for line in shown.splitlines() if line.startswith("  T-")]
    assert rows
    assert all(len(row) <= columns for row in rows)


def test_control_c_says_what_a_second_one_does(repo: Repo, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"report": "up"}, {"sleep": "60s"}]}])
    terminal = Terminal("run", plan, cwd=repo.path)
    terminal.until("A: says up")
    os.kill(terminal.process.pid, signal.SIGINT)
    shown = terminal.until(None)
    assert terminal.process.wait() == 130
    assert "A second time ends everything at once" in " ".join(shown.split())
    assert "0 of 1 task landed" in shown


def test_an_unfinished_run_is_offered_on_a_terminal(repo: Repo, tmp_path: Path) -> None:
    wait = {"run": f"test -e {tmp_path}/go || {{ echo; sleep 60; }}"}
    plan = write_plan(tmp_path / "p", [{"id": "A", "writes": ["A"], "steps": [{"report": "up"}, wait]}])
    first = Terminal("run", plan, "--run", "r", cwd=repo.path)
    first.until("A: says up")
    first.process.kill()
    first.process.wait()
    (tmp_path / "go").touch()
    second = Terminal("run", plan, cwd=repo.path)
    second.until("Go on with it?")
    os.write(second.master, b"y\n")
    shown = second.until(None)
    assert second.process.wait() == 0, shown
    assert "Going on with the base branch" in shown


@pytest.mark.parametrize("answer", ["", "n", "y"])
def test_a_plan_that_an_agent_wrote_is_run_only_if_somebody_says_so(repo: Repo, tmp_path: Path, answer: str) -> None:
    text = plan_text([{"id": "A", "writes": ["A"], "steps": [{"write": {"path": "A", "text": "a"}}]}])
    (tmp_path / "written.yaml").write_text(text)
    before, out = repo.head(), tmp_path / "planned"
    program = ["--kind", "command", "--command", f"cp {tmp_path}/written.yaml orch-plan/plan.yaml"]
    terminal = Terminal("plan", "something", *program, "--out", out, cwd=repo.path)
    terminal.until("Run it now?")
    assert (out / "plan.yaml").read_text() == text
    assert (repo.head("main"), list((repo.path / ".git/orch").iterdir())) == (before, [])
    os.write(terminal.master, f"{answer}\n".encode())
    shown = terminal.until(None)
    assert terminal.process.wait() == 0, shown
    assert (repo.head("main") != before) == (answer == "y")
    assert ("Run it: orch run" in shown) == (answer != "y")
    assert ("A" in repo.files("main")) == (answer == "y")

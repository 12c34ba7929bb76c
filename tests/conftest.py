"""Every test is sealed from the machine: its own HOME, no user configuration of git, a fixed identity and language."""

from __future__ import annotations

import compileall
import os
import signal
from pathlib import Path

import pytest

import orchestrator

# What `nohup` or a shell's `&` makes the suite ignore, every orch started here would ignore.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once; where PYTHONDONTWRITEBYTECODE is set, each of some thousand processes would do it again."""
    if not hasattr(config, "workerinput"):  # the first process, which starts the others
        compileall.compile_dir(Path(orchestrator.__path__[0]), quiet=2)


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Give the test a HOME of its own, and take away what the machine's git and editors would say.

    Where a test is `unconfined`, its agents may write everywhere: it shows what holds then, or its agents and the test talk
    through files elsewhere.
    """
    home = tmp_path / "home"
    home.mkdir()
    for name in [n for n in os.environ if n.startswith(("GIT_", "ORCH_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # with it, nobody would see that a line comes late
    monkeypatch.setenv("HOME", str(home))
    if request.node.get_closest_marker("unconfined"):
        monkeypatch.setenv("ORCH_CONFINE", "audit")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "100")

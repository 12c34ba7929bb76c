"""The board of a run, served to other processes: live by the run itself, and afterwards from its log."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from orchestrator.board.client import take_seat, watch
from orchestrator.errors import BoardError, ClaimRefused
from tests.board.stories import run
from tests.e2e.test_interrupt import wait_for_line
from tests.support.missing import not_here
from tests.support.orch import orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def waiting_plan(folder: Path, gate: Path) -> Path:
    steps = [
        {"claim": "first"}, {"report": "at work"}, {"run": f"while ! test -e {gate}; do sleep 0.05; done"},
        {"done": "first"}, {"write": {"path": "A.txt", "text": "a\n"}},
    ]  # fmt: skip
    todos = [{"id": "first", "title": "First"}, {"id": "second", "title": "Second"}]
    return write_plan(folder, [{"id": "A", "writes": ["A.txt"], "todos": todos, "steps": steps}])


def where(folder: Path) -> tuple[str, str]:
    """Wait until a board is served; return its URL and the owner's token."""
    while True:
        if (folder / "board.url").is_file():
            url, token = (folder / "board.url").read_text().split()
            return url, token
        time.sleep(0.02)


@contextmanager
def started(*arguments: str | Path, repo: Repo) -> Iterator[subprocess.Popen[bytes]]:
    process = start_orch(*arguments, cwd=repo.path)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


async def help_with_the_second_todo(url: str, token: str, context: ssl.SSLContext | None = None) -> None:
    async with take_seat(url, token, "helper", context=context) as seat:
        await seat.synced()
        with pytest.raises(ClaimRefused, match=r"holds it|kept for"):
            await seat.claim("A")
        with pytest.raises(ClaimRefused, match="holds it"):
            await seat.claim("A/first")
        assert await seat.claim("A/second") == 1
        await seat.done("A/second")
        await seat.report("helped")


def test_a_run_serves_its_board_and_others_take_part(repo: Repo, tmp_path: Path) -> None:
    plan, folder = waiting_plan(tmp_path / "p", tmp_path / "go"), repo.path / ".git/orch/r"
    with started("run", plan, "--run", "r", "--listen", "127.0.0.1:0", repo=repo) as process:
        url, owner = where(folder)
        assert stat.S_IMODE((folder / "board.url").stat().st_mode) == 0o600
        token = orch("serve", "r", "--token-for", "helper", cwd=repo.path).out.strip()
        run(wait_for_words(url, owner, "A", "at work"))
        run(help_with_the_second_todo(url, token))
        run(wait_for_words(url, owner, "helper", "helped"))
        live = orch("board", "--url", url, "--token", owner, "--json", cwd=tmp_path).json
        assert [(t["id"], t["state"], t["holder"]) for t in live["tasks"][0]["todos"]] == [
            ("first", "held", live["tasks"][0]["holder"]),
            ("second", "done", "helper"),
        ]
        refused = orch("board", "--url", url, "--token", "nonsense-nonsense", cwd=tmp_path)
        assert (refused.code, "a token is needed" in refused.err) == (2, True)
        assert "A process is working on r" in orch("serve", "r", cwd=repo.path).err
        (tmp_path / "go").touch()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
        assert owner.encode() not in out + err
    assert not (folder / "board.url").exists()

    with started("serve", repo=repo) as process:
        url, owner = where(folder)
        shown = orch("board", "--url", url, "--token", owner, "--json", cwd=tmp_path)
        logged = orch("board", "--json", cwd=repo.path).json
        assert shown.json["tasks"] == logged["tasks"]
        assert shown.json["log"] == logged["log"]
        token = orch("serve", "r", "--token-for", "late", cwd=repo.path).out.strip()
        with pytest.raises(BoardError, match="can only be looked at"):
            run(claim_late(url, token))
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
    assert not (folder / "board.url").exists()


def ask(url: str, token: str = "") -> tuple[int, str]:
    """Ask for a page as a browser does, and return the status and the text."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def shows_the_run(process: subprocess.Popen[bytes]) -> str:
    """Open the address that is printed, as its user does: the page is there, and the run's data for who has its token."""
    address = wait_for_line(process.stderr, "Watch it here: ").partition("Watch it here: ")[2].strip()
    root, _, token = address.partition("#token=")
    status, page = ask(root)
    assert (status, "<title>" in page, token in page) == (200, True, False)
    for asset in re.findall(r'(?:src|href)="(/?assets/[^"]+)"', page):
        assert ask(f"{root}{asset.lstrip('/')}")[0] == 200
    place = f"{root}api/transcript?task=A&generation=1"
    assert ask(place)[0] in (401, 403)
    status, text = ask(place, token)
    assert status == 200, text
    return text


def test_a_run_is_shown_on_a_page_while_it_runs_and_afterwards(repo: Repo, tmp_path: Path) -> None:
    plan, folder = waiting_plan(tmp_path / "p", tmp_path / "go"), repo.path / ".git/orch/r"
    with started("run", plan, "--run", "r", "--web", repo=repo) as process:
        wait_for_line(process.stdout, "A: says at work")
        live = shows_the_run(process)
        (tmp_path / "go").touch()
        process.communicate(timeout=60)
        assert process.returncode == 0
    with started("serve", "r", "--web", repo=repo) as process:
        assert "outcome" in shows_the_run(process)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert "outcome" not in live
    assert not (folder / "board.url").exists()


async def wait_for_words(url: str, token: str, who: str, words: str, context: ssl.SSLContext | None = None) -> None:
    async with watch(url, token, again=False, context=context) as board:
        await board.synced()
        while not any(a.agent.startswith(who) and a.note == words for a in board.snapshot().agents):
            await board.changed()


async def claim_late(url: str, token: str) -> None:
    async with take_seat(url, token, "late") as seat:
        await seat.claim("A")


def test_by_tls(repo: Repo, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        not_here("openssl was not found: no certificate can be made")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    secret = tmp_path / "token"
    secret.write_text("a-secret-of-our-own\n")
    plan, folder = waiting_plan(tmp_path / "p", tmp_path / "go"), repo.path / ".git/orch/r"
    more = ("--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--token-file", secret)
    with started("run", plan, "--run", "r", *more, repo=repo) as process:
        url, owner = where(folder)
        assert url.startswith("wss://")
        assert owner == "a-secret-of-our-own"
        shown = orch("board", "--url", url, "--ca", cert, cwd=tmp_path, env={"ORCH_BOARD_TOKEN": owner})
        assert shown.code == 0, shown.err
        untrusted = orch("board", "--url", url, "--token", owner, cwd=tmp_path)
        assert untrusted.code == 2
        assert "cannot be reached" in untrusted.err
        (tmp_path / "go").touch()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()


def test_follow_shows_each_change(repo: Repo, tmp_path: Path) -> None:
    plan, folder = waiting_plan(tmp_path / "p", tmp_path / "go"), repo.path / ".git/orch/r"
    with started("run", plan, "--run", "r", "--listen", "127.0.0.1:0", repo=repo) as process:
        url, owner = where(folder)
        with started("board", "--url", url, "--token", owner, "--follow", "--json", repo=repo) as follower:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["tasks"][0]["state"] != "done"
            (tmp_path / "go").touch()
            for line in follower.stdout:
                if json.loads(line)["tasks"][0]["state"] == "done":
                    break
            else:
                raise AssertionError("the end was never shown")
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen", "0.0.0.0:0"], "Without TLS everybody"),
        (["--listen", "nonsense"], "is no address"),
        (["--listen", "127.0.0.1:0", "--tls-cert", "cert"], "go together"),
        (["--listen", "127.0.0.1:0", "--tls-cert", "cert", "--tls-key", "cert"], "cannot be used"),
        (["--listen", "127.0.0.1:0", "--token-file", "cert"], "holds no token"),
        (["--insecure"], "Say with --listen"),
    ],
)
def test_what_cannot_be_served_is_refused(repo: Repo, tmp_path: Path, options: list[str], told: str) -> None:
    write_plan(tmp_path, [{"id": "A", "writes": ["A"], "steps": []}])
    (repo.path / "cert").write_text("none")
    said = orch("run", tmp_path / "plan.yaml", *options, cwd=repo.path)
    assert said.code == 2, said.err
    assert told in said.err

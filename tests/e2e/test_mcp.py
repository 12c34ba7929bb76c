"""The board as tools: an agent's program takes part over HTTP and over standard input and output, known by its token alone."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import pytest

from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

pytestmark = pytest.mark.e2e

AGENT = """
import asyncio, json, os, sys
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

url, token, task = os.environ["ORCH_MCP_URL"], os.environ["ORCH_TOKEN"], os.environ["ORCH_TASK"]
said = []

async def use(client, name, **arguments):
    result = await client.call_tool(name, arguments)
    said.append([name, result.is_error, result.content[0].text])

async def main():
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            said.append(["tools", False, sorted(tool.name for tool in (await client.list_tools()).tools)])
            await use(client, "board_read")
            await use(client, "board_read")
            await use(client, "report_progress", text="half way")
            await use(client, "scope_request", paths=["more/f"], reason="the task needs it")
            await use(client, "scope_request", paths=["contracts/c"], reason="I want it")
            await use(client, "contract_read", path="contracts/c")
            await use(client, "todo_claim", todo="nonsense")
            await use(client, "todo_claim", wrong="x")
            await use(client, "answer", question="q9", text="yes")
    stdio = StdioServerParameters(command=sys.executable, args=["-m", "orchestrator", "mcp"], env=dict(os.environ))
    async with Client(stdio) as client:
        await use(client, "ask", question="Which one?", to="b")
        await use(client, "board_read")
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {wrong}"}) as http:
        said.append(["stranger", True, str((await http.post(url, json={})).status_code)])

asyncio.run(main())
os.makedirs("more", exist_ok=True)
open("more/f", "w").write("x")
print("SAID " + json.dumps(said))
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return make_repo(tmp_path_factory.mktemp("mcp") / "repo")


@pytest.fixture(scope="module")
def said(repo: Repo) -> dict[str, list[list[Any]]]:
    program = repo.path.parent / "agent.py"
    program.write_text(AGENT)
    tasks: list[dict[str, Any]] = [
        {
            "id": "a",
            "writes": ["a/**"],
            "agent": "program",
            "attempts": 1,
            "todos": [{"id": "one", "title": "The one"}],
        },
        {"id": "b", "writes": ["b/**"], "steps": [{"write": {"path": "b/f", "text": "x"}}], "needs": ["a"]},
    ]
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(program))}"
    plan = write_plan(
        repo.path.parent / "p", tasks, agents={"program": {"kind": "command", "command": command, "writable": "worktree"}},
        contracts={"files": {"contracts/c": "agreed\n"}},
    )  # fmt: skip
    run = orch("run", plan, "--run", "r", cwd=repo.path)
    lines = (repo.path / ".git/orch/r/transcripts/a.gen-1.jsonl").read_text().splitlines()
    output = "".join(json.loads(line).get("text", "") for line in lines if '"output"' in line)
    assert "SAID " in output, output
    assert run.code == 0, run.out
    found: dict[str, list[list[Any]]] = {}
    for name, failed, text in json.loads(output.partition("SAID ")[2].splitlines()[0]):
        found.setdefault(name, []).append([failed, text])
    return found


def test_every_tool_is_there(said: dict[str, list[list[Any]]]) -> None:
    board = ["answer", "ask", "board_read", "contract_read", "report_progress", "scope_request"]
    assert said["tools"][0][1] == [*board, "todo_claim", "todo_done", "todo_list"]


def test_the_first_look_shows_all_and_the_next_one_what_changed(said: dict[str, list[list[Any]]]) -> None:
    first, second, third = (text for _, text in said["board_read"])
    assert first.startswith("Your task: a")
    assert "b: waiting (needs a)" in first
    assert second == "Nothing has changed since you looked last."
    assert "widened" in third
    assert "Your task" not in third


def test_a_wider_scope_is_granted_counts_and_is_refused_for_contracts(
    said: dict[str, list[list[Any]]], repo: Repo
) -> None:
    granted, refused = said["scope_request"]
    assert (granted[0], refused[0]) == (False, True)
    assert "contracts/c is a contract" in refused[1]
    assert repo.show("more/f", "main") == "x"


def test_what_is_wrong_says_what_to_do_next(said: dict[str, list[list[Any]]]) -> None:
    unknown, wrong = said["todo_claim"]
    assert unknown[0]
    assert "the board has no such task or TODO. Do not work on it: call todo_list" in unknown[1]
    assert wrong[0]
    assert "Correct the arguments and call it again" in wrong[1]
    assert said["answer"][0][0]


def test_contracts_are_read_and_questions_are_asked(said: dict[str, list[list[Any]]], repo: Repo) -> None:
    assert said["contract_read"] == [[False, "agreed\n"]]
    assert said["ask"][0][0] is False
    assert "q1 of a.gen-1 to b: Which one?" in orch("board", cwd=repo.path).out


def test_a_token_that_is_nobody_s_opens_nothing(said: dict[str, list[list[Any]]]) -> None:
    assert said["stranger"] == [[True, "401"]]

"""The model server of the tests: each dialect says what the scenario says, at the step that the request is at."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.support.fake_model import FakeModel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[1]
STORY: list[dict[str, Any]] = [
    {"say": "I write a file.", "call": {"name": "write", "input": {"path": "{cwd}/a", "text": "x" * 40}}},
    {"say": "Done.", "then": [{"say": "Really done."}]},
]
ASKED = "Do it. Working directory: /w/t"
PATHS = {
    "messages": "v1/messages", "responses": "v1/responses", "chat": "v1/chat/completions",
    "gemini": "v1beta/models/m:generateContent",
}  # fmt: skip


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeModel]:
    with FakeModel({"story": STORY, "marked": {"zebra": [{"say": "striped"}], "Do it": [{"say": "plain"}]}}) as server:
        yield server


def body(dialect: str, *, calls: int = 0, words: int = 0) -> dict[str, Any]:
    """Return a request in which the model has made so many turns with a call, and then so many without."""
    tools: dict[str, Any] = {"model": "m", "tools": [{"name": "write"}]}
    asked = {"role": "user", "content": ASKED}
    if dialect == "messages":
        called = [
            {"role": "assistant", "content": [{"type": "tool_use"}]},
            {"role": "user", "content": [{"type": "tool_result"}]},
        ]
        said = [{"role": "assistant", "content": [{"type": "text", "text": "Done."}]}, asked]
        return {**tools, "messages": [asked, *called * calls, *said * words]}
    if dialect == "responses":
        called = [{"type": "function_call"}, {"type": "function_call"}, {"type": "function_call_output"}]
        said = [{"type": "message", "role": "assistant"}, {"type": "message", **asked}]
        return {**tools, "input": [{"type": "message", **asked}, *called * calls, *said * words]}
    if dialect == "chat":
        called = [{"role": "assistant", "tool_calls": [{}]}, {"role": "tool"}]
        said = [{"role": "assistant", "content": "Done."}, asked]
        return {**tools, "messages": [asked, *called * calls, *said * words]}
    user = {"role": "user", "parts": [{"text": ASKED}]}
    called = [{"role": "model", "parts": [{"functionCall": {}}]}, {"role": "user", "parts": [{"functionResponse": {}}]}]
    said = [{"role": "model", "parts": [{"text": "Done."}]}, user]
    return {**tools, "contents": [user, *called * calls, *said * words]}


def post(
    fake: FakeModel, dialect: str, request: dict[str, Any], *, story: str = "story", stream: bool = False
) -> httpx2.Response:
    path = PATHS[dialect].replace("generate", "streamGenerate") if stream else PATHS[dialect]
    return httpx2.post(
        f"{fake.url(story)}/{path}", json={**request, "stream": stream} if stream else request, timeout=20
    )


def heard(dialect: str, answer: httpx2.Response) -> tuple[str, str]:
    """Return what was said in a stream, and the arguments of the call, as a client puts them together."""
    said, given = "", ""
    for line in answer.text.splitlines():
        if not line.startswith("data: {"):
            continue
        data = json.loads(line.removeprefix("data: "))
        if dialect == "messages":
            delta = data.get("delta", {})
            said, given = said + delta.get("text", ""), given + delta.get("partial_json", "")
        elif dialect == "responses":
            said += data["delta"] if data["type"] == "response.output_text.delta" else ""
            given += data["delta"] if data["type"] == "response.function_call_arguments.delta" else ""
        elif dialect == "chat":
            for choice in data["choices"]:
                said += choice["delta"].get("content", "")
                given += "".join(call["function"]["arguments"] for call in choice["delta"].get("tool_calls", []))
        else:
            for part in data["candidates"][0]["content"]["parts"]:
                said += part.get("text", "")
                given += json.dumps(part["functionCall"]["args"]) if "functionCall" in part else ""
    return said, given


@pytest.mark.parametrize("dialect", PATHS)
def test_a_dialect_says_the_step_that_the_conversation_is_at(fake: FakeModel, dialect: str) -> None:
    said, given = heard(dialect, post(fake, dialect, body(dialect), stream=True))
    assert said == "I write a file."
    assert json.loads(given) == {"path": "/w/t/a", "text": "x" * 40}
    whole = post(fake, dialect, body(dialect)).text
    assert "I write a file." in whole
    assert "/w/t/a" in whole
    assert heard(dialect, post(fake, dialect, body(dialect, calls=1), stream=True)) == ("Done.", "")
    assert heard(dialect, post(fake, dialect, body(dialect, calls=1, words=1), stream=True)) == ("Really done.", "")
    assert heard(dialect, post(fake, dialect, body(dialect, calls=7), stream=True)) == ("done", "")
    assert heard(dialect, post(fake, dialect, {**body(dialect), "tools": []}, stream=True)) == ("ok", "")
    assert heard(dialect, post(fake, dialect, body(dialect), story="marked", stream=True)) == ("plain", "")


def test_faults_come_first_and_for_each_conversation_alone() -> None:
    faults = [{"status": 429, "retry_after": 2}, {"cut": True}, {"break": 529}]
    with FakeModel({"story": [{"say": "Four words of text.", "faults": faults}]}) as fake:
        first = post(fake, "messages", body("messages"), stream=True)
        assert (first.status_code, first.headers["retry-after"], first.json()["error"]["type"]) == (
            429,
            "2",
            "rate_limit_error",
        )
        cut = post(fake, "messages", body("messages"), stream=True).text
        assert ("message_start" in cut, "message_delta" in cut) == (True, False)
        assert "overloaded_error" in post(fake, "messages", body("messages"), stream=True).text
        assert "message_stop" in post(fake, "messages", body("messages"), stream=True).text
        other = {**body("messages"), "system": "another agent"}
        assert post(fake, "messages", other, stream=True).status_code == 429


def test_a_pace_is_kept() -> None:
    with FakeModel({"story": [{"say": "x" * 80, "pace": 100}]}) as fake:
        started = time.monotonic()
        assert heard("messages", post(fake, "messages", body("messages"), stream=True))[0] == "x" * 80
        assert time.monotonic() - started >= 0.19


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps([{"say": "hello"}]))
    command = [sys.executable, "-m", "tests.support.fake_model", "--scenarios", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().replace("NAME", "one")
        answer = httpx2.post(f"{url}/{PATHS['chat']}", json=body("chat"), timeout=20)
        process.terminate()
    assert answer.json()["choices"][0]["message"]["content"] == "hello"

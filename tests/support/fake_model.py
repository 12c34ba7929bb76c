"""A model server that says what a scenario tells it to, in the dialects of Anthropic, OpenAI (both) and Google.

    python -m tests.support.fake_model --port 0 --scenarios DIR

`/s/NAME/…` plays DIR/NAME.json. It keeps no conversations: the step that is served is the number of turns with tool calls that
the request itself holds, so agents side by side, and requests that are sent again, get what they should. A request without tools
is answered "ok". A scenario is a list of steps; or a mapping whose keys are looked for in the request, the first that is found
counts, with a list of steps each. `{cwd}` in a step becomes the working directory that the request names, `{position}` the
newest position in a shared file that it names, and `{position-N}` the Nth. A step holds

    say: text                 what the model says
    call: {name, input}       what it calls; `calls` for several. `raw` in place of `input` is JSON that may be none
    stop: reason              why it stopped, in the dialect's own word, if not the usual one
    model, cached             the model's name, and how many tokens of the input came from a cache
    then: [step, …]           what it says to the next requests of this step, when it had called nothing
    repeat: true              all later steps are this one, for ever
    pace: N                   tokens a second, in place of the server's
    faults: [fault, …]        what happens to the first requests of this step, one each, before it is served

and a fault is one of `{status: N, retry_after: S}`; `{cut: true}`, the stream ends in the middle; `{break: N}`, it ends with this
error; `{hang: S}`, it is silent in the middle. `times: N` makes several of it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import itertools
import json
import re
import socket
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.fake_dialects import DIALECTS, Call, Dialect, Reply

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["FakeModel", "Scenario"]

Scenario = list[dict[str, Any]] | Mapping[str, list[dict[str, Any]]]

_CWD = re.compile(r"(?:[Ww]orking directory:?|<cwd>|[Ww]orkspace(?: root)?:?)\s*(/[^\s\"\\<,]+)")
_POSITION = re.compile(r"[Pp]osition(?:: | is )([\w-]{22})")
_PATH = re.compile(r"/s/([\w.-]+)/(.*)")
_OK: dict[str, Any] = {"say": "ok"}
_OVER: dict[str, Any] = {"say": "done"}


@dataclass
class FakeModel:
    """The server; as a context it listens in a thread. `pace` is tokens a second, as fast as can be without one."""

    scenarios: Mapping[str, Scenario] | Path
    port: int = 0
    pace: float | None = None
    requests: deque[tuple[str, Mapping[str, Any]]] = field(default_factory=lambda: deque(maxlen=1000))
    """The newest requests: their scenario and their body."""
    _served: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", self.port))
        self._socket.listen(1024)
        self.port = self._socket.getsockname()[1]
        routes = [
            Route("/{path:path}", self._post, methods=["POST"]),
            Route("/{path:path}", self._get, methods=["GET"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(config)

    def url(self, scenario: str) -> str:
        """Return the address that a client is given as the provider's."""
        return f"http://127.0.0.1:{self.port}/s/{scenario}"

    def run(self) -> None:
        """Serve until told to stop."""
        asyncio.run(self.server.serve(sockets=[self._socket]))

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run, name="fake model")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join()

    async def _get(self, request: Request) -> Response:
        if not request.path_params["path"].endswith("models"):
            return JSONResponse({"ok": True})
        model = {"id": "fake", "type": "model", "object": "model", "display_name": "fake", "created": 0, "owned_by": "fake",
                 "created_at": "2026-01-01T00:00:00Z"}  # fmt: skip
        return JSONResponse(
            {"object": "list", "data": [model], "has_more": False, "first_id": "fake", "last_id": "fake"}
        )

    async def _post(self, request: Request) -> Response:
        raw = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        body = json.loads(raw)
        named = _PATH.fullmatch(request.url.path)
        scenario, rest = (named[1], named[2]) if named else ("default", request.url.path)
        if rest.endswith(("count_tokens", ":countTokens")):
            return JSONResponse({"input_tokens": len(raw) // 4, "totalTokens": len(raw) // 4})
        kind = next((end for end in DIALECTS if rest.replace("streamG", "g").endswith(end)), None)
        if kind is None:
            return JSONResponse({"error": {"message": f"no dialect is spoken at {rest}"}}, 404)
        self.requests.append((scenario, body))
        dialect = DIALECTS[kind]
        step = self._step(scenario, dialect, body, raw.decode())
        fault = self._fault(step, scenario, raw)
        if "status" in fault:
            headers = {"retry-after": str(fault["retry_after"])} if "retry_after" in fault else {}
            said = dialect.error(fault["status"], fault.get("say", "the scenario says so"))
            return JSONResponse(said, fault["status"], headers)
        model = str(step.get("model") or body.get("model") or "fake")
        reply = Reply(
            model=model, text=step.get("say", ""), calls=_calls(step), stop=step.get("stop"),
            tokens_in=max(1, len(raw) // 4), cached=step.get("cached", 0),
        )  # fmt: skip
        pace = step.get("pace", self.pace)
        if body.get("stream") or "streamGenerateContent" in rest:
            return StreamingResponse(_streamed(dialect, reply, fault, pace), media_type="text/event-stream")
        if pace:
            await asyncio.sleep(reply.tokens_out / pace)
        return JSONResponse(dialect.whole(reply))

    def _step(self, scenario: str, dialect: Dialect, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        steps = self._scenario(scenario)
        if isinstance(steps, Mapping):
            steps = next((steps[key] for key in steps if key in text), [])
        progress = dialect.progress(body)
        if not progress.tools:
            return _OK
        repeated = next((step for step in steps[: progress.steps + 1] if step.get("repeat")), None)
        step = repeated or (steps[progress.steps] if progress.steps < len(steps) else _OVER)
        if progress.extra and (then := step.get("then", [])):
            step = then[min(progress.extra, len(then)) - 1]
        found = _CWD.search(text)
        positions = _POSITION.findall(text)
        words = {"cwd": found[1] if found else "", "position": positions[-1] if positions else ""}
        words |= {f"position-{number}": position for number, position in enumerate(positions, start=1)}
        filled: dict[str, Any] = _filled(step, words)
        return filled

    def _scenario(self, name: str) -> Scenario:
        if isinstance(self.scenarios, Path):
            read: Scenario = json.loads((self.scenarios / f"{name}.json").read_text())
            return read
        return self.scenarios[name]

    def _fault(self, step: Mapping[str, Any], scenario: str, raw: bytes) -> Mapping[str, Any]:
        """Return what is to happen to this request; one that is sent again is known by what it holds."""
        faults = [fault for fault in step.get("faults", []) for _ in range(fault.get("times", 1))]
        key = hashlib.sha256(scenario.encode() + b"\0" + raw).hexdigest()
        self._served[key] += 1
        return faults[self._served[key] - 1] if self._served[key] <= len(faults) else {}


def _calls(step: Mapping[str, Any]) -> tuple[Call, ...]:
    return tuple(Call(**call) for call in step.get("calls", [step["call"]] if "call" in step else []))


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{(cwd|position(?:-\d+)?)\}", lambda found: words.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_filled(one, words) for one in value]
    return {key: _filled(one, words) for key, one in value.items()} if isinstance(value, dict) else value


async def _streamed(dialect: Dialect, reply: Reply, fault: Mapping[str, Any], pace: float | None) -> AsyncIterator[str]:
    events = list(dialect.events(reply))
    clock = asyncio.get_running_loop()
    due = clock.time()
    for name, data, tokens in itertools.islice(events, len(events) // 2 if fault else None):
        yield _event(name, data)
        if pace and tokens:
            due += tokens / pace
            await asyncio.sleep(due - clock.time())
    if "break" in fault:
        yield _event("error", dialect.error(fault["break"], "the scenario says so"))
    if "hang" in fault:
        await asyncio.sleep(fault["hang"])


def _event(name: str | None, data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "") + f"data: {text}\n\n"


def main() -> None:
    """Serve a folder of scenarios until the process is told to end."""
    parser = argparse.ArgumentParser(description="A model server that says what scenarios tell it to.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scenarios", type=Path, required=True)
    parser.add_argument("--pace", type=float, help="tokens a second")
    given = parser.parse_args()
    fake = FakeModel(given.scenarios, port=given.port, pace=given.pace)
    print(fake.url("NAME"), flush=True)  # noqa: T201 - whoever starts it reads the port here
    fake.run()


if __name__ == "__main__":
    main()

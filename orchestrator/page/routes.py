"""The web page of a run over HTTP: its files, and what it asks of the server beside the board's documents.

Files need no token, since anybody may have them; all that is of a run does. Whatever agents wrote is sent as plain text.
"""

from __future__ import annotations

import asyncio
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from orchestrator.board.access import origin_allowed
from orchestrator.board.schema import LONGEST_WORDS
from orchestrator.errors import OrchestratorError
from orchestrator.inbox import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from orchestrator.board.access import Keys

__all__ = ["PageSource", "page_routes"]

_LONGEST_BODY = 64 * 1024  # bytes
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_TEXT = _TYPES["txt"]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{sockets}; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_MESSAGE = TypeAdapter(Message)


class PageSource(Protocol):
    """What the page shows of a run beside its board, and where it leaves messages; each is called in a thread."""

    def transcript(self, task: str, generation: int | None) -> bytes | None:
        """Return the end of an attempt's transcript, of the newest without `generation`; None if there is none."""
        ...

    def diff(self, task: str) -> str | None:
        """Return what a task has changed as a patch, which may be cut; None if there is nothing to compare."""
        ...

    def act(self, message: Message) -> None:
        """Leave a message for the run.

        Raises:
            OrchestratorError: the run cannot do that any more; the message says why.
        """
        ...


def page_routes(source: PageSource, keys: Keys, *, origins: Collection[str] = ()) -> list[Route]:
    """Return the routes of the page: `/`, `/assets/…` and `/api/…`; they stand beside those of `board_app`.

    `origins` are web pages that may leave messages besides this one.
    """
    from starlette.routing import Route

    async def transcript(request: Request) -> Response:
        number = request.query_params.get("generation", "")
        if number and not (number.isascii() and number.isdigit() and len(number) < 10):
            raise _Refusal(400, f"{number[:40]!r} is no generation; it is a number.")
        task = _task_of(request)
        found = await asyncio.to_thread(source.transcript, task, int(number) if number else None)
        return _answer(found, f"There is no transcript of {task}.")

    async def diff(request: Request) -> Response:
        task = _task_of(request)
        return _answer(await asyncio.to_thread(source.diff, task), f"{task} has changed nothing that is kept.")

    async def message(request: Request) -> Response:
        origin, host = request.headers.get("origin"), request.headers.get("host")
        if not origin_allowed(origin, host, origins):
            raise _Refusal(403, "This page may not leave messages.")
        wanted = _message_in(request, await _body_of(request))
        try:
            await asyncio.to_thread(source.act, wanted)
        except OrchestratorError as fault:
            raise _Refusal(409, fault.message) from fault
        return _text("", 202)

    return [
        Route("/", _file),
        Route("/assets/{name:path}", _file),
        Route("/api/transcript", _guarded(transcript, keys, acts=False)),
        Route("/api/diff", _guarded(diff, keys, acts=False)),
        Route("/api/message", _guarded(message, keys, acts=True), methods=["POST"]),
    ]


class _Refusal(Exception):
    """A request is answered with this status and this sentence."""

    def __init__(self, status: Literal[400, 401, 403, 404, 409, 413, 415], sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _guarded(endpoint: Callable[[Request], Any], keys: Keys, *, acts: bool) -> Callable[[Request], Any]:
    """Let only those in whose token allows it: to look at everything, and if it `acts`, to act as the owner."""

    async def guarded(request: Request) -> Response:
        try:
            _admit(request, keys, acts=acts)
            answer: Response = await endpoint(request)
        except _Refusal as refusal:
            return _text(str(refusal), refusal.status)
        return answer

    return guarded


def _admit(request: Request, keys: Keys, *, acts: bool) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    rights = keys.rights(token.strip()) if scheme.lower() == "bearer" else None
    if rights is None:
        raise _Refusal(401, "A token is needed that this board knows.")
    if rights.agent is not None or (acts and not rights.is_owner):
        raise _Refusal(403, "Only the owner's token allows that." if acts else "An agent's token does not allow that.")


def _task_of(request: Request) -> str:
    task: str = request.query_params.get("task", "")
    if not task:
        raise _Refusal(400, "Name a task: ?task=ID.")
    return task


async def _body_of(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise _Refusal(413, f"A message may have {_LONGEST_BODY} bytes.")
    return body


def _message_in(request: Request, body: bytes) -> Message:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # what a form on another page can send is something else
        raise _Refusal(415, "A message is sent as application/json.")
    try:
        message = _MESSAGE.validate_json(body)
    except ValidationError as fault:
        problem = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the body"
        raise _Refusal(400, f"This is no message: {where}: {problem['msg']}.") from fault
    if message.kind in ("answer", "cancel") and not message.about:
        raise _Refusal(400, f"Say in `about` what to {message.kind}.")
    if message.kind == "answer" and not message.text.strip():
        raise _Refusal(400, "An answer needs a `text`.")
    if len(message.text) > LONGEST_WORDS:
        raise _Refusal(400, f"An answer may have {LONGEST_WORDS} characters; this one has {len(message.text)}.")
    return message


def _answer(found: bytes | str | None, otherwise: str) -> Response:
    if found is None:
        raise _Refusal(404, otherwise)
    return _text(found, 200)


def _text(content: bytes | str, status: int) -> Response:
    from starlette.responses import Response

    headers = {**_HEADERS, "Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store"}
    return Response(content, status, headers=headers, media_type=_TEXT)


async def _file(request: Request) -> Response:
    from starlette.responses import Response

    name = request.path_params.get("name", "index.html")
    content = _assets().get(name)
    if content is None:
        return _text("There is no such file.", 404)
    headers = {**_HEADERS, "Content-Security-Policy": _policy(request.headers.get("host", ""))}
    return Response(content, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])


def _policy(host: str) -> str:
    """Return what the page may load and ask: nothing of others. To some browsers the WebSockets of a host are another one."""
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return _POLICY.format(sockets=sockets)


@cache
def _assets() -> Mapping[str, bytes]:
    """Return every file of the page by its path. They are few and small, and no name can lead anywhere else."""
    found, folders = {}, [("", files("orchestrator.page") / "assets")]
    for prefix, folder in folders:
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append((f"{prefix}{entry.name}/", entry))
            elif entry.name.rpartition(".")[2] in _TYPES:
                found[f"{prefix}{entry.name}"] = entry.read_bytes()
    return found

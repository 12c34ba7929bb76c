"""MCP over standard input and output for programs that speak nothing else: each message is passed on to the board's HTTP address.

It needs no library of its own, so it is there in a tenth of a second.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["bridge"]

_AT_ONCE = 8  # requests; one may wait for the answer of a person
_PATIENCE = 120  # seconds for one answer
_INTERNAL_ERROR = -32603  # of JSON-RPC


def bridge(url: str, token: str, incoming: Iterable[bytes], outgoing: IO[bytes]) -> None:
    """Pass on every line of `incoming`, a JSON-RPC message, and write what is answered, until `incoming` ends."""
    line_lock = threading.Lock()
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {token}",
    }

    def pass_on(message: bytes) -> None:
        answer = _post(url, headers, message)
        if answer:
            with line_lock:
                outgoing.write(answer + b"\n")
                outgoing.flush()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for line in incoming:
            if not line.strip():
                continue
            if _method(line) == "initialize":
                pass_on(line)  # what follows is said in the version that this settles
            else:
                pool.submit(pass_on, line)


def _post(url: str, headers: dict[str, str], message: bytes) -> bytes:
    place = urlsplit(url)
    secure = place.scheme == "https"
    connection = (HTTPSConnection if secure else HTTPConnection)(place.hostname or "", place.port, timeout=_PATIENCE)
    try:
        connection.request("POST", place.path or "/", body=message, headers=headers)
        response = connection.getresponse()
        body = response.read().strip()
        if response.status < HTTPStatus.BAD_REQUEST:
            return body
        reason = body[:500].decode("utf-8", "replace") or response.reason
    except (OSError, HTTPException) as fault:
        reason = f"the board cannot be reached: {fault}"
    finally:
        connection.close()
    number = _id(message)
    if number is None:
        return b""
    error = {"code": _INTERNAL_ERROR, "message": reason}
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode()


def _parsed(message: bytes) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _method(message: bytes) -> str | None:
    return _parsed(message).get("method")


def _id(message: bytes) -> object:
    return _parsed(message).get("id")

"""The board over the network: one WebSocket a document, at `/board/<topic>`, as stock Yjs clients expect it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from orchestrator.board.access import origin_allowed
from orchestrator.board.channel import ChannelClosed, Closing, Interruptible
from orchestrator.board.room import LONGEST_MESSAGE
from orchestrator.errors import BoardError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator
    from pathlib import Path

    from orchestrator.board.access import Keys
    from orchestrator.board.channel import Channel

__all__ = ["Address", "Host", "Tls", "board_app", "listening"]

_LONGEST_REASON = 120  # bytes: a WebSocket's close frame has room for 123


class Host(Protocol):
    """What is shown: a hub, or the log of one that has gone."""

    async def serve(self, channel: Channel, topic: str, *, writes: bool = False, by: str = "") -> None:
        """Serve one connection until it ends; see `Hub.serve`."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address in `HOST:PORT`, `[HOST]:PORT`, `:PORT` or `PORT`; the host is 127.0.0.1 if there is none.

        Raises:
            UsageError: it is none.
        """
        host, _, port = text.rpartition(":")
        if not (port.isascii() and port.isdigit()) or int(port) > 0xFFFF:
            raise UsageError(f"{text!r} is no address.", hint="Write HOST:PORT, such as 127.0.0.1:8765; port 0 is any.")
        return cls(host.strip("[]") or "127.0.0.1", int(port))

    @property
    def is_local(self) -> bool:
        """Tell whether only this machine can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate and its key, in PEM form."""

    certificate: Path
    key: Path


def board_app(host: Host, keys: Keys, *, origins: Collection[str] = ()) -> Starlette:
    """Return the ASGI application that shows a board; others can be mounted beside it."""

    async def endpoint(websocket: WebSocket) -> None:
        if not origin_allowed(websocket.headers.get("origin"), websocket.headers.get("host"), origins):
            await websocket.send_denial_response(PlainTextResponse("this page may not connect", status_code=403))
            return
        await websocket.accept()
        channel = _SocketChannel(websocket)
        try:
            await _serve(host, channel, websocket, keys)
        except BoardError as fault:
            channel.close(fault.message)
        finally:
            await channel.finish()

    return Starlette(routes=[WebSocketRoute("/board/{topic:path}", endpoint)])


@asynccontextmanager
async def listening(app: Starlette, address: Address, *, tls: Tls | None = None) -> AsyncIterator[str]:
    """Listen inside this event loop for as long as the context lasts; yields the URL, to which `/<topic>` is added.

    Raises:
        UsageError: the address cannot be had, or the certificate cannot be read.
    """
    listener = _listener(address)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app, ws=_Protocol, ws_max_size=LONGEST_MESSAGE + 1024, ws_per_message_deflate=False, lifespan="off",
        log_config=None, log_level="warning", access_log=False, timeout_graceful_shutdown=2, server_header=False,
        ssl_certfile=tls.certificate if tls else None, ssl_keyfile=str(tls.key) if tls else None,
    )  # fmt: skip
    try:
        config.load()
    except OSError as fault:
        listener.close()
        raise UsageError(f"The certificate or its key cannot be used: {fault}.") from fault
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="board server")
    try:
        host = f"[{address.host}]" if ":" in address.host else address.host
        yield f"{'wss' if tls else 'ws'}://{host}:{port}/board"
    finally:
        server.should_exit = True
        await serving


async def _serve(host: Host, channel: _SocketChannel, websocket: WebSocket, keys: Keys) -> None:
    topic = websocket.path_params["topic"]
    rights = keys.rights(_token(websocket))
    if rights is None:
        channel.close("a token is needed that this board knows", code=Closing.NO_TOKEN)
    elif not rights.may_read(topic):
        channel.close(f"this token does not open {topic[:60]!r}", code=Closing.NOT_ALLOWED)
    else:
        await host.serve(channel, topic, writes=rights.may_write(topic), by=rights.author)


def _token(websocket: WebSocket) -> str:
    scheme, _, bearer = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    return websocket.query_params.get("token", "")


class _SocketChannel(Interruptible):
    """One WebSocket of the server as a channel."""

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__()
        self._websocket = websocket

    async def send(self, data: bytes) -> None:
        """Hand over one message; wait while the socket's buffer is full."""
        with self.waiting():
            try:
                await self._websocket.send_bytes(data)
                await self._websocket.scope["state"]["drained"]()  # else a full buffer shows only at the next message
            except (WebSocketDisconnect, RuntimeError) as gone:
                self.interrupt("the other end closed the connection", Closing.NORMAL)
                raise ChannelClosed("the other end closed the connection") from gone

    async def receive(self) -> bytes:
        """Return the next message."""
        with self.waiting():
            message: Any = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            reason = message.get("reason") or "the other end closed the connection"
            self.interrupt(reason, message.get("code") or Closing.NORMAL)
            raise ChannelClosed(reason)
        data: bytes | None = message.get("bytes")
        if data is None:
            raise BoardError("a text message; this protocol is binary")
        return data

    def close(self, reason: str = "", *, code: Closing = Closing.NORMAL) -> None:
        """End the connection; `finish` says so to the other end."""
        self.interrupt(reason, code)

    async def finish(self) -> None:
        """Say to the other end why it was closed, or cut it off if it would not take that."""
        closed = self.closed or ChannelClosed("the connection has ended")
        reason = closed.message.encode()[:_LONGEST_REASON].decode("utf-8", "ignore")
        if closed.code == Closing.TOO_SLOW:
            self._websocket.scope["state"]["abort"]()
            return
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                await self._websocket.close(closed.code, reason)


class _Protocol(WebSocketsSansIOProtocol):
    """A connection whose buffer the application can wait for, and that it can cut off with all that waits there."""

    async def run_asgi(self) -> None:
        self.close_timeout = 1.0
        self.scope["state"].update(abort=self.transport.abort, drained=self.writable.wait)
        await super().run_asgi()


class _Server(uvicorn.Server):
    """A server that leaves signals to the program around it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(1024)
    except OSError as fault:
        raise UsageError(f"Nobody can listen at {address.host}:{address.port}: {fault.strerror or fault}.") from fault
    listener.setblocking(False)
    return listener

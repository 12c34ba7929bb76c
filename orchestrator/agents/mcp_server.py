"""The board's tools for agents that speak MCP: streamable HTTP, where each agent is known by its token alone.

The library takes two seconds of CPU to load, so it is loaded, in a thread, when the first agent connects.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.agents.board_tools import INSTRUCTIONS, TOOLS, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.types import Receive, Scope, Send

    from orchestrator.agents.base import Desk

__all__ = ["McpEndpoint", "mcp_server"]


class McpEndpoint:
    """An ASGI application that answers MCP requests; `desk_of` finds an agent's desk by its token, or None."""

    def __init__(self, desk_of: Callable[[str], Desk | None]) -> None:
        self._desk_of = desk_of
        self._over = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._manager: asyncio.Future[StreamableHTTPSessionManager] | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[McpEndpoint]:
        """Answer for as long as this lasts."""
        try:
            yield self
        finally:
            self._over.set()
            if self._serving is not None:
                await self._serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._over.is_set() or self._desk_of(_bearer(scope)) is None:
            from starlette.responses import JSONResponse

            said = {"error": "This needs the token of an agent that is at work: Authorization: Bearer $ORCH_TOKEN"}
            await JSONResponse(said, status_code=401)(scope, receive, send)
            return
        if self._manager is None:
            self._manager = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._serve(self._manager), name="mcp sessions")
        await (await asyncio.shield(self._manager)).handle_request(scope, receive, send)

    async def _serve(self, ready: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        server = await asyncio.to_thread(mcp_server, self._desk_of)
        # Without sessions each request stands for itself, so an agent may come back after any break.
        server.streamable_http_app(stateless_http=True, json_response=True, transport_security=_any_host())
        async with server.session_manager.run():
            ready.set_result(server.session_manager)
            await self._over.wait()


def mcp_server(desk_of: Callable[[str], Desk | None]) -> Server[Any]:
    """Return the server with its tools; every call is for the agent whose token the request carries."""
    import mcp_types as types
    from mcp.server.lowlevel import Server

    async def list_tools(_context: object, _page: object) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[types.Tool(name=t.name, description=t.description, input_schema=t.schema) for t in TOOLS]
        )

    async def call_tool(
        context: ServerRequestContext[Any, Any], wanted: types.CallToolRequestParams
    ) -> types.CallToolResult:
        desk = desk_of(_bearer(context.request.scope)) if context.request else None
        if desk is None:
            text, failed = "Your attempt is over: nothing that you do counts any more. Stop.", True
        else:
            said = await call(desk, wanted.name, wanted.arguments or {})
            text, failed = said.text, said.failed
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=failed)

    return Server(
        "orch-board", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


def _any_host() -> TransportSecuritySettings:
    """Leave out the library's guard against foreign pages: those have no token, and no page of ours uses this."""
    from mcp.server.transport_security import TransportSecuritySettings

    return TransportSecuritySettings(enable_dns_rebinding_protection=False)


def _bearer(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope.get("headers", []))
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""

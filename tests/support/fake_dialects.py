"""How four model APIs put one reply: Anthropic Messages, OpenAI Responses, OpenAI Chat Completions, and Gemini.

A dialect reads of a request how far the conversation is, and writes a reply whole or as server-sent events. It knows nothing of
HTTP, of scenarios, or of time.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["DIALECTS", "Call", "Dialect", "Event", "Progress", "Reply"]

Body = Mapping[str, Any]
Event = tuple[str | None, Any, int]
"""An event's name (None: only data), its data, and how many tokens of the reply it carries."""

_PIECE = 4  # characters; what a token is, roughly


@dataclass(frozen=True, kw_only=True)
class Call:
    """A tool call: arguments as a mapping, as free text for tools that take that, or `raw`: as JSON that may be none."""

    name: str
    input: Any = None
    raw: str | None = None
    namespace: str | None = None

    @property
    def arguments(self) -> str:
        """The arguments as they go over the wire."""
        return self.raw if self.raw is not None else json.dumps(self.input)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the model says and calls; `stop` is the dialect's own word for why it stopped, if not the usual one."""

    model: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    stop: str | None = None
    tokens_in: int = 1
    cached: int = 0

    @property
    def tokens_out(self) -> int:
        """How many tokens it has."""
        return sum(len(_pieces(text)) for text in (self.text, *(call.arguments for call in self.calls))) or 1


@dataclass(frozen=True)
class Progress:
    """How far a conversation is: turns of the model with calls, turns without since, and whether it has tools at all."""

    steps: int
    extra: int
    tools: bool


class Dialect(Protocol):
    """One API."""

    def progress(self, body: Body) -> Progress:
        """Return how far the conversation of a request is."""
        ...

    def whole(self, reply: Reply) -> Any:
        """Return the reply as one JSON value."""
        ...

    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield the reply as it is streamed."""
        ...

    def error(self, status: int, message: str) -> Any:
        """Return what a failed request is answered with."""
        ...


def _pieces(text: str) -> list[str]:
    return [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:20]}"


def _progress(turns: list[bool], body: Body) -> Progress:
    """Return how far it is; `turns` tells of each turn of the model whether it had calls."""
    extra = len(list(itertools.takewhile(lambda calls: not calls, reversed(turns))))
    return Progress(sum(turns), extra, bool(body.get("tools")))


class Anthropic:
    """Messages, of Anthropic."""

    ERRORS: Mapping[int, str] = {
        400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error",
        529: "overloaded_error",
    }  # fmt: skip

    def progress(self, body: Body) -> Progress:
        own = [m["content"] for m in body.get("messages", []) if m["role"] == "assistant"]
        return _progress([isinstance(c, list) and any(b.get("type") == "tool_use" for b in c) for c in own], body)

    def whole(self, reply: Reply) -> Any:
        text = [{"type": "text", "text": reply.text}] if reply.text else []
        calls = [{"type": "tool_use", "id": _id("toolu"), "name": c.name, "input": c.input or {}} for c in reply.calls]
        usage = {
            "input_tokens": max(0, reply.tokens_in - reply.cached), "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": reply.cached, "output_tokens": reply.tokens_out,
        }  # fmt: skip
        return {
            "id": _id("msg"), "type": "message", "role": "assistant", "model": reply.model, "content": text + calls,
            "stop_reason": reply.stop or ("tool_use" if calls else "end_turn"), "stop_sequence": None, "usage": usage,
        }  # fmt: skip

    def events(self, reply: Reply) -> Iterator[Event]:
        message = self.whole(reply)
        arguments = iter(call.arguments for call in reply.calls)
        begin = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
        yield self._event("message_start", message=begin)
        yield self._event("ping")
        for index, block in enumerate(message["content"]):
            if block["type"] == "text":
                empty: dict[str, Any] = {"text": ""}
                deltas = [{"type": "text_delta", "text": p} for p in _pieces(block["text"])]
            else:
                empty = {"input": {}}
                deltas = [{"type": "input_json_delta", "partial_json": p} for p in _pieces(next(arguments))]
            yield self._event("content_block_start", index=index, content_block={**block, **empty})
            for delta in deltas:
                yield self._event("content_block_delta", 1, index=index, delta=delta)
            yield self._event("content_block_stop", index=index)
        end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        yield self._event("message_delta", delta=end, usage={"output_tokens": reply.tokens_out})
        yield self._event("message_stop")

    def error(self, status: int, message: str) -> Any:
        kind = self.ERRORS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": _id("req")}

    @staticmethod
    def _event(kind: str, tokens: int = 0, /, **values: Any) -> Event:
        return kind, {"type": kind, **values}, tokens


class Responses:
    """Responses, of OpenAI."""

    CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call"})

    def progress(self, body: Body) -> Progress:
        given = body.get("input")
        items = given if isinstance(given, list) else []
        grouped = itertools.groupby(
            items, lambda i: i.get("type") in {*self.CALLS, "reasoning"} or i.get("role") == "assistant"
        )
        own = [any(item.get("type") in self.CALLS for item in turn) for by_model, turn in grouped if by_model]
        return _progress(own, body)

    def whole(self, reply: Reply) -> Any:
        items: list[dict[str, Any]] = []
        if reply.text:
            part = {"type": "output_text", "text": reply.text, "annotations": []}
            items.append({"type": "message", "id": _id("msg"), "role": "assistant", "content": [part]})
        for call in reply.calls:
            named = {
                "call_id": _id("call"),
                "name": call.name,
                **({"namespace": call.namespace} if call.namespace else {}),
            }
            if isinstance(call.input, str):
                items.append({"type": "custom_tool_call", "id": _id("ctc"), **named, "input": call.input})
            else:
                items.append({"type": "function_call", "id": _id("fc"), **named, "arguments": call.arguments})
        usage = {
            "input_tokens": reply.tokens_in, "input_tokens_details": {"cached_tokens": reply.cached},
            "output_tokens": reply.tokens_out, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.tokens_in + reply.tokens_out,
        }  # fmt: skip
        return {
            "id": _id("resp"), "object": "response", "created_at": 0, "model": reply.model, "status": "completed",
            "output": [{**item, "status": "completed"} for item in items], "usage": usage,
        }  # fmt: skip

    def events(self, reply: Reply) -> Iterator[Event]:
        response = self.whole(reply)
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        kinds: list[tuple[str, dict[str, Any], int]] = [("response.created", {"response": begun}, 0)]
        for index, item in enumerate(response["output"]):
            at = {"output_index": index, "item_id": item["id"]}
            empty: dict[str, Any] = {"content": []} if item["type"] == "message" else {}
            kinds.append(
                (
                    "response.output_item.added",
                    {"output_index": index, "item": {**item, "status": "in_progress", **empty}},
                    0,
                )
            )
            if item["type"] == "message":
                (part,) = item["content"]
                kinds.append(
                    ("response.content_part.added", {**at, "content_index": 0, "part": {**part, "text": ""}}, 0)
                )
                deltas = [{**at, "content_index": 0, "delta": piece} for piece in _pieces(part["text"])]
                kinds += [("response.output_text.delta", delta, 1) for delta in deltas]
                kinds.append(("response.output_text.done", {**at, "content_index": 0, "text": part["text"]}, 0))
                kinds.append(("response.content_part.done", {**at, "content_index": 0, "part": part}, 0))
            elif item["type"] == "function_call":
                kind = "response.function_call_arguments"
                kinds += [(f"{kind}.delta", {**at, "delta": piece}, 1) for piece in _pieces(item["arguments"])]
                kinds.append((f"{kind}.done", {**at, "arguments": item["arguments"]}, 0))
            kinds.append(("response.output_item.done", {"output_index": index, "item": item}, 0))
        kinds.append(("response.completed", {"response": response}, 0))
        for number, (kind, values, tokens) in enumerate(kinds):
            yield kind, {"type": kind, "sequence_number": number, **values}, tokens

    def error(self, status: int, message: str) -> Any:
        return {"error": {"type": "server_error", "code": str(status), "message": message}}


class Chat:
    """Chat Completions, of OpenAI."""

    def progress(self, body: Body) -> Progress:
        own = [m for m in body.get("messages", []) if m.get("role") == "assistant"]
        return _progress([bool(m.get("tool_calls")) for m in own], body)

    def whole(self, reply: Reply) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
        if reply.calls:
            message["tool_calls"] = self._calls(reply)
        choice = {"index": 0, "message": message, "finish_reason": self._stop(reply)}
        return {**self._frame(reply, "chat.completion"), "choices": [choice], "usage": self._usage(reply)}

    def events(self, reply: Reply) -> Iterator[Event]:
        frame = self._frame(reply, "chat.completion.chunk")
        deltas: list[tuple[dict[str, Any], str | None, int]] = [({"role": "assistant", "content": ""}, None, 0)]
        deltas += [({"content": piece}, None, 1) for piece in _pieces(reply.text)]
        for index, call in enumerate(self._calls(reply)):
            begun = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
            deltas.append(({"tool_calls": [begun]}, None, 0))
            for piece in _pieces(call["function"]["arguments"]):
                deltas.append(({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None, 1))
        deltas.append(({}, self._stop(reply), 0))
        for delta, stop, tokens in deltas:
            yield None, {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": stop}]}, tokens
        yield None, {**frame, "choices": [], "usage": self._usage(reply)}, 0
        yield None, "[DONE]", 0

    def error(self, status: int, message: str) -> Any:
        return {"error": {"type": "server_error", "code": status, "message": message}}

    @staticmethod
    def _frame(reply: Reply, kind: str) -> dict[str, Any]:
        return {"id": _id("chatcmpl"), "object": kind, "created": 0, "model": reply.model}

    @staticmethod
    def _calls(reply: Reply) -> list[dict[str, Any]]:
        return [
            {"id": _id("call"), "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.calls
        ]

    @staticmethod
    def _stop(reply: Reply) -> str:
        return reply.stop or ("tool_calls" if reply.calls else "stop")

    @staticmethod
    def _usage(reply: Reply) -> dict[str, Any]:
        return {
            "prompt_tokens": reply.tokens_in, "completion_tokens": reply.tokens_out,
            "total_tokens": reply.tokens_in + reply.tokens_out,
        }  # fmt: skip


class Gemini:
    """generateContent and streamGenerateContent, of Google."""

    def progress(self, body: Body) -> Progress:
        own = [c.get("parts", []) for c in body.get("contents", []) if c.get("role") == "model"]
        return _progress([any("functionCall" in part for part in parts) for parts in own], body)

    def whole(self, reply: Reply) -> Any:
        parts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
        parts += [{"functionCall": {"name": call.name, "args": call.input or {}}} for call in reply.calls]
        return self._chunk(reply, parts, reply.stop or "STOP")

    def events(self, reply: Reply) -> Iterator[Event]:
        for piece in _pieces(reply.text):
            yield None, self._chunk(reply, [{"text": piece}], None), 1
        calls = [{"functionCall": {"name": call.name, "args": call.input or {}}} for call in reply.calls]
        spent = sum(len(_pieces(call.arguments)) for call in reply.calls)
        yield None, self._chunk(reply, calls, reply.stop or "STOP"), spent

    def error(self, status: int, message: str) -> Any:
        return {"error": {"code": status, "message": message, "status": "UNAVAILABLE"}}

    @staticmethod
    def _chunk(reply: Reply, parts: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
        usage = {
            "promptTokenCount": reply.tokens_in, "candidatesTokenCount": reply.tokens_out,
            "totalTokenCount": reply.tokens_in + reply.tokens_out, "cachedContentTokenCount": reply.cached,
        }  # fmt: skip
        end = {"finishReason": stop} if stop else {}
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **end}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": reply.model}


DIALECTS: Mapping[str, Dialect] = {
    "messages": Anthropic(),
    "responses": Responses(),
    "chat/completions": Chat(),
    "generateContent": Gemini(),
}
"""Each dialect by how the paths of its requests end."""

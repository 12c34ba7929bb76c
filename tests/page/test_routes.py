"""The routes of the page, asked as a web server asks them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from starlette.applications import Starlette

import orchestrator.page
from orchestrator.board.access import Keys
from orchestrator.errors import UsageError
from orchestrator.inbox import Message
from orchestrator.page.routes import page_routes
from tests.support.page import Papers

ASSETS = Path(orchestrator.page.__file__).parent / "assets"
LOCK = Path(__file__).parents[2] / "scripts" / "page" / "package-lock.json"
KEYS = Keys("a-secret-of-sixteen")
JSON = {"content-type": "application/json", "host": "board.example:8765"}


class Said(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(papers: Papers, path: str, token: str | None = None, body: bytes | None = None, **headers: str) -> Said:
    """Ask for a path, with a body by POST."""
    app = Starlette(routes=page_routes(papers, KEYS, origins=["https://other.example"]))
    plain, _, query = path.partition("?")
    sent = {**({"authorization": f"Bearer {token}"} if token else {}), **headers}
    scope = {
        "type": "http", "method": "GET" if body is None else "POST", "path": plain, "raw_path": quote(plain).encode(),
        "root_path": "",
        "query_string": query.encode(), "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()],
        "scheme": "http", "server": ("board.example", 8765), "client": None, "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    answer: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        answer.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type] # the types of ASGI are wider
    start = answer[0]
    parts = [part for message in answer[1:] if isinstance(part := message.get("body", b""), bytes)]
    assert isinstance(start["status"], int)
    assert isinstance(start["headers"], list)
    return Said(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, b"".join(parts))


def leave(papers: Papers, message: object, token: str = KEYS.owner, **headers: str) -> Said:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return ask(
        papers,
        "/api/message",
        token,
        body,
        **{"content_type": "application/json", "host": "board.example:8765", **headers},
    )


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/theme.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/assets/vendor/yjs.js", "text/javascript; charset=utf-8"),
        ("/assets/vendor/yjs.LICENSE.txt", "text/plain; charset=utf-8"),
    ],
)
def test_files_come_without_a_token_and_with_strict_headers(path: str, kind: str) -> None:
    said = ask(Papers(), path, host="[::1]:8765")
    assert (said.status, said.headers["content-type"]) == (200, kind)
    policy = said.headers["content-security-policy"]
    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://[::1]:8765 wss://[::1]:8765;"
    )
    assert "unsafe" not in policy
    assert said.headers["x-content-type-options"] == "nosniff"
    assert said.headers["referrer-policy"] == "no-referrer"
    assert said.headers["cache-control"] == "no-cache"


def test_a_made_up_host_adds_nothing_to_what_the_page_may_ask() -> None:
    policy = ask(Papers(), "/", host="x; script-src *").headers["content-security-policy"]
    assert "connect-src 'self';" in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/assets/", "/assets/vendor", "/assets/../routes.py", "/assets/%2e%2e/routes.py", "/assets//etc/passwd",
        "/assets/vendor/../app.js",
        "/assets/vendor/../../__init__.py", "/index.html", "/api/", "/api/nothing", "/favicon.ico",
    ],
)  # fmt: skip
def test_no_other_path_leads_anywhere(path: str) -> None:
    assert ask(Papers(), path, KEYS.owner).status == 404


def test_transcripts_and_diffs_are_plain_text() -> None:
    papers = Papers({"a.gen-2": b"<script>\n", "a.gen-None": b"newest"}, {"a": "+<b>"})
    said = ask(papers, "/api/transcript?task=a&generation=2", KEYS.reader())
    assert (said.status, said.headers["content-type"], said.body) == (200, "text/plain; charset=utf-8", b"<script>\n")
    assert said.headers["cache-control"] == "no-store"
    assert said.headers["content-security-policy"] == "default-src 'none'"
    assert ask(papers, "/api/transcript?task=a", KEYS.owner).body == b"newest"
    assert ask(papers, "/api/diff?task=a", KEYS.reader()).body == b"+<b>"


@pytest.mark.parametrize(
    ("path", "token", "status", "words"),
    [
        ("/api/diff?task=a", None, 401, "A token is needed that this board knows."),
        ("/api/diff?task=a", "a-secret-of-sixteem", 401, "A token is needed"),
        ("/api/diff?task=a", KEYS.agent("a.gen-1"), 403, "An agent's token does not allow that."),
        ("/api/diff", KEYS.owner, 400, "Name a task: ?task=ID."),
        ("/api/diff?task=zz", KEYS.owner, 404, "zz has changed nothing that is kept."),
        ("/api/transcript?task=zz&generation=1", KEYS.owner, 404, "There is no transcript of zz."),
        ("/api/transcript?task=a&generation=x", KEYS.owner, 400, "'x' is no generation; it is a number."),
        ("/api/transcript?task=a&generation=%D9%A1", KEYS.owner, 400, "is no generation"),
    ],
)
def test_what_cannot_be_had_is_said(path: str, token: str | None, status: int, words: str) -> None:
    said = ask(Papers(diffs={"a": ""}), path, token)
    assert (said.status, words in said.body.decode()) == (status, True), said.body


def test_the_owner_leaves_messages() -> None:
    papers = Papers()
    same = {"origin": "http://board.example:8765"}
    assert leave(papers, {"kind": "answer", "about": "q1", "text": "blue"}, **same).status == 202
    assert (
        leave(
            papers, {"kind": "pause"}, origin="https://other.example", content_type="application/json; charset=utf-8"
        ).status
        == 202
    )
    assert papers.left == [Message(kind="answer", about="q1", text="blue"), Message(kind="pause")]


@pytest.mark.parametrize(
    ("message", "how", "status", "words"),
    [
        ({"kind": "pause"}, {"token": KEYS.reader()}, 403, "Only the owner's token allows that."),
        ({"kind": "pause"}, {"token": KEYS.agent("a.gen-1")}, 403, "Only the owner's token allows that."),
        ({"kind": "pause"}, {"token": "wrong"}, 401, "A token is needed"),
        ({"kind": "pause"}, {"origin": "https://evil.example"}, 403, "This page may not leave messages."),
        ({"kind": "pause"}, {"origin": "null"}, 403, "This page may not leave messages."),
        ({"kind": "pause"}, {"content_type": "text/plain"}, 415, "sent as application/json"),
        (b"x" * 65 * 1024, {}, 413, "65536 bytes"),
        (b"{", {}, 400, "This is no message: the body: Invalid JSON"),
        ({"kind": "delete"}, {}, 400, "This is no message: kind: Input should be 'answer'"),
        ({"kind": "cancel"}, {}, 400, "Say in `about` what to cancel."),
        ({"kind": "answer", "about": "q1", "text": " "}, {}, 400, "An answer needs a `text`."),
        ({"kind": "answer", "about": "q1", "text": "x" * 2001}, {}, 400, "may have 2000 characters; this one has 2001"),
    ],
)  # fmt: skip
def test_a_bad_message_is_refused_in_a_sentence(message: object, how: dict[str, str], status: int, words: str) -> None:
    papers = Papers()
    said = leave(papers, message, **how)
    assert (said.status, words in said.body.decode(), papers.left) == (status, True, []), said.body


def test_a_run_that_is_over_says_so() -> None:
    def refuse(_message: Message) -> None:
        raise UsageError("The run r is over.")

    said = leave(Papers(act_upon=refuse), {"kind": "pause"})
    assert (said.status, said.body) == (409, b"The run r is over.")


EDITOR = (
    "@codemirror/state", "@codemirror/view", "@codemirror/commands", "@codemirror/language", "@lezer/common", "@lezer/highlight",
    "@marijn/find-cluster-break", "style-mod", "w3c-keyname",
)  # fmt: skip


@pytest.mark.parametrize(
    ("bundle", "names"), [("yjs", ("yjs", "y-websocket", "y-protocols", "lib0")), ("codemirror", EDITOR)]
)
def test_a_bundle_is_of_the_pinned_versions(bundle: str, names: tuple[str, ...]) -> None:
    packages = json.loads(LOCK.read_text())["packages"]
    pinned = ", ".join(f"{name} {packages[f'node_modules/{name}']['version']}" for name in names)
    assert (ASSETS / "vendor" / f"{bundle}.js").read_text().startswith(f"/* {pinned}; MIT,")
    licences = (ASSETS / "vendor" / f"{bundle}.LICENSE.txt").read_text()
    assert [name for name in names if f"== {name}\n" not in licences] == []
    assert {packages[f"node_modules/{name}"]["license"] for name in names} == {"MIT"}


def test_the_page_needs_nothing_but_its_own_files() -> None:
    own = [path for path in ASSETS.rglob("*") if path.is_file() and path.parent == ASSETS]
    text = "".join(path.read_text() for path in own)
    assert set(re.findall(r"\w+://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function| style=| onclick=", text
        )
        == []
    )
    named = set(re.findall(r'"(?:/assets|\.)/([\w./-]+)"', text))
    there = {str(path.relative_to(ASSETS)) for path in ASSETS.rglob("*.*")}
    assert named == there - {"index.html", "vendor/yjs.LICENSE.txt", "vendor/codemirror.LICENSE.txt"}
    assert {path.name: count for path in own if (count := len(path.read_text().splitlines())) > 350} == {}

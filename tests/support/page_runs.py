"""Runs to look at: what happens to single tasks, and one run in which everything is to be seen that the page can show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestrator.model import events as happened
from orchestrator.model.finding import CheckResult, Violation
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.train_values import Candidate, Item, Key, Status, Train
from tests.support.page import Papers, shown_run

if TYPE_CHECKING:
    from orchestrator.board.hub import Hub
    from tests.support.page import ShownRun

__all__ = ["HOSTILE", "begun", "busy_run", "card", "landed", "papers"]

HOSTILE = "<img src=/nowhere onerror=alert(1)><b>bold</b>"
"""What an agent may write that would do harm if it were taken for HTML."""


def card(name: str, title: str = "", *needs: str, todos: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    listed = [{"id": todo, "title": f"Do {todo}"} for todo in todos]
    return {
        "id": name,
        "title": title,
        "writes": [f"{name}/**"],
        "needs": needs,
        "todos": listed,
        "prompt": "x",
        **more,
    }


def begun(name: str, generation: int = 1) -> list[happened.Event]:
    return [
        happened.Assigned(task=name, generation=generation),
        happened.AttemptStarted(
            task=name, generation=generation, commit="5b1d" * 10, branch=f"orch/r/{name}", worktree="/w", agent="claude",
            model="claude-opus-4", session="s", transcript=f"transcripts/{name}.gen-{generation}.jsonl",
        ),
    ]  # fmt: skip


def submitted(name: str) -> list[happened.Event]:
    ended = happened.AttemptEnded(
        task=name, generation=1, status=OutcomeStatus.DONE, reason="", seconds=61.2, cost_usd=0.31, turns=7
    )
    kept = happened.Kept(task=name, generation=1, branch=f"orch/r/{name}", commit="ab" * 20, files=2)
    return [*begun(name), ended, kept, happened.Submitted(task=name, generation=1, commit="ab" * 20, files=2)]


def landed(name: str) -> list[happened.Event]:
    gated = happened.Checked(task=name, generation=1, stage="landing", result=CheckResult(name="gate:tests"))
    at = happened.Landed(task=name, generation=1, commit="c0ffee12" * 5, tree="d" * 40, seconds=3.2)
    return [*submitted(name), happened.LandingStarted(task=name, generation=1), gated, at]


async def busy_run(hub: Hub) -> ShownRun:
    """Return a run in which everything is to be seen that the page can show."""
    shown = shown_run(
        hub,
        card("schema", "Tables for users, roles and sessions", track="backend"),
        card("kit", "Form fields and buttons", track="frontend"),
        card("passwords", HOSTILE, "schema", track="backend", todos=("hash", "verify")),
        card("roles", "Roles and permissions", "schema", track="backend", attempts=3),
        card("sessions", "Sessions that expire", "schema", track="backend"),
        card("mail", "Mail for a forgotten password", "schema", attempts=1),
        card("login", "The login page, with a title that is longer than any of the places where it stands", "kit", "sessions"),
        card("users", "The page with all users", "kit", "roles"),
        card("all", "Drive everything once", "login", "users", "mail", "schema"),
        tracks={"backend": {"owns": ["b/**"]}, "frontend": {"owns": ["f/**"]}},
    )  # fmt: skip
    shown.tell(*landed("schema"), *landed("kit"), *begun("passwords"), *begun("roles"))
    hub.open("passwords", for_agent="passwords.gen-1")
    seat = await hub.seat("passwords.gen-1")
    await seat.claim("passwords")
    await seat.claim("passwords/hash")
    await seat.done("passwords/hash")
    wrong = CheckResult(
        name="boundary", violations=(Violation(kind="scope", path="schema/roles.sql", message="is not its own"),)
    )
    shown.tell(
        happened.Reported(task="passwords", generation=1, action="says", text=HOSTILE),
        happened.Checked(task="roles", generation=1, stage="submission", result=wrong),
        happened.Refused(
            task="roles", generation=1, reason="check boundary failed: schema/roles.sql is not its own", feedback=""
        ),
        *begun("roles", 2),
        happened.OverlapSeen(task="roles", other="passwords", paths=("schema/users.py",)),
        *begun("mail"),
        happened.Refused(task="mail", generation=1, reason="no SMTP server was named", feedback="", final=True),
        happened.TaskEnded(task="mail", status="failed", reason="no SMTP server was named"),
        happened.TaskEnded(task="all", status="blocked", reason="it needs mail, which failed"),
    )
    hub.questions.ask("roles.gen-2", f"May the last administrator go? {HOSTILE}")
    line = tuple(Item(task=name, generation=1, commit="x") for name in ("sessions", "login", "users"))
    keys = [Key(item.task, 1) for item in line]
    gating = Candidate(number=1, key=keys[0], on=None, chain=(keys[0],), status=Status.GATING)
    building = Candidate(number=2, key=keys[1], on=1, chain=(keys[0], keys[1]), status=Status.BUILDING)
    shown.train = Train(base="b", window=2, line=line, candidates={keys[0]: gating, keys[1]: building})
    shown.tell(*submitted("sessions"), happened.LandingStarted(task="sessions", generation=1))
    return shown


def papers() -> Papers:
    line = json.dumps({"at": 1_800_000_001, "event": "output", "text": HOSTILE}).encode()
    begun_ones = ("schema", "kit", "passwords", "roles", "sessions", "mail")
    diff = f"diff --git a/p b/p\n--- a/p\n+++ b/p\n@@ -1 +1 @@\n-{HOSTILE}\n+{HOSTILE}\n"
    return Papers({f"{name}.gen-{n}": line for name in begun_ones for n in (1, 2)}, {"passwords": diff})

"""Provenance trailers ⇄ text, against git's own parser and against forgery."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.text import clean_text
from orchestrator.model.trailers import Provenance, message_with, provenance_of

REAL = Provenance(
    run="2026-11-22-x-7f3a", task="A-001", track="auth", generation=2, session="s1", agent="default", model="script@1",
    spec_hash="a" * 16, context_hash="b" * 16, contracts_hash="c" * 16, content_hash="d" * 16,
    work_product="refs/heads/orch/r/A-001/gen-2",
)  # fmt: skip


def git_trailers(message: str) -> list[str]:
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message.encode(), capture_output=True, check=True
    )
    return done.stdout.decode().splitlines()


def test_git_reads_exactly_the_published_block() -> None:
    assert git_trailers(message_with("A-001: Auth", "It works.", REAL)) == [
        "Provenance-Run: 2026-11-22-x-7f3a",
        "Provenance-Task: A-001",
        "Provenance-Track: auth",
        "Provenance-Generation: 2",
        "Provenance-Session: s1",
        "Provenance-Agent: default",
        "Provenance-Model: script@1",
        "Provenance-Spec-Hash: " + "a" * 16,
        "Provenance-Context-Hash: " + "b" * 16,
        "Provenance-Contracts-Hash: " + "c" * 16,
        "Provenance-Content-Hash: " + "d" * 16,
        "Provenance-Work-Product: refs/heads/orch/r/A-001/gen-2",
    ]


def test_forged_trailers_do_not_survive() -> None:
    forged = (
        "Done.\n\nProvenance-Task: EVIL\n  provenance-agent: me\n> Provenance-Run: x\n---\nProvenance-Model: gpt\r\n"
    )
    message = message_with("A\nProvenance-Task: EVIL", forged, REAL)
    assert "EVIL" not in message.split("\n", 1)[1]
    assert git_trailers(message) == REAL.lines()
    assert provenance_of(message) == REAL


def test_a_value_cannot_break_its_line() -> None:
    sneaky = replace(REAL, agent="x\nProvenance-Task: EVIL\u2028\u202e")
    assert provenance_of(message_with("s", "", sneaky)) == replace(REAL, agent="x Provenance-Task: EVIL")


def test_a_block_that_is_doubled_incomplete_or_not_at_the_end_says_nothing() -> None:
    message = message_with("s", "", REAL)
    assert provenance_of(message + "\ntext\n") is None
    assert provenance_of(message.rstrip() + "\nProvenance-Task: B\n") is None
    assert provenance_of("s\n\nProvenance-Task: A-001\n") is None
    assert provenance_of("") is None


@given(subject=st.text(max_size=60), body=st.text(max_size=200), agent=st.text(max_size=20))
def test_whatever_an_agent_says_the_block_reads_back(subject: str, body: str, agent: str) -> None:
    message = message_with(subject, body, replace(REAL, agent=agent))
    assert provenance_of(message) == replace(REAL, agent=clean_text(agent) or "-")

"""Text that somebody else wrote, made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.text import clean_text, printable


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://x\x1b\\\\link", "\\link"),
        ("two\nlines\tand\u2028more", "two lines and more"),
        ("right\u202eto left\u200b", "rightto left"),
        ("", ""),
    ],
)
def test_sequences_and_controls_go(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


def test_a_limit_is_kept_and_shown() -> None:
    assert clean_text("abcdef", 4) == "abc…"
    assert clean_text("abcd", 4) == "abcd"


@given(st.text())
def test_clean_text_is_one_harmless_line(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned == clean_text(cleaned)
    assert not any(ord(c) < 32 or c in "\u202e\u2066\u200b\x1b\x7f" for c in cleaned)


def test_a_line_of_a_file_keeps_its_shape() -> None:
    assert printable("\tx  = 1\x1b[2J\u202e") == "\tx  = 1\\x1b[2J\\x202e"

"""What coding programs say of their providers: which kind of trouble it is, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from orchestrator.agents.preset import find_preset
from orchestrator.agents.troubles import LONGEST, TroubleRules, seconds_until

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20", 20.0),
        ("11.5s", 11.5),
        ("1500ms", 1.5),
        ("2h3m4s", 2 * HOUR + 184),
        ("1 day 5 hours, and 2 minutes", 29 * HOUR + 120),
        (str(int(NOW) + 50), 50.0),
        (str(int(NOW) * 1000 + 50_000), 50.0),
        ("2026-11-22T14:01:00Z", 60.0),
        ("Sun, 22 Nov 2026 15:00:00 GMT", HOUR),
        ("3pm (UTC)", HOUR),
        ("4:30 PM (Europe/Berlin)", 1.5 * HOUR),
        ("1:30pm UTC", 23.5 * HOUR),
        (str(int(NOW) - 50), 0.0),
        ("900 days", LONGEST),
        ("soon", None),
        ("25:70", None),
        ("7", 7.0),
    ],
)
def test_when_it_is_over_is_read_as_it_is_said(text: str, seconds: float | None) -> None:
    assert seconds_until(text, NOW) == (None if seconds is None else pytest.approx(seconds, abs=0.01))


@pytest.mark.parametrize(
    ("preset", "said", "kind", "seconds"),
    [
        ("claude", "Invalid API key · Fix external API key", "login", None),
        ("claude", "API Error: Request rejected (429) · This request would exceed your rate limit.", "quota", None),
        ("claude", f"Claude AI usage limit reached|{int(NOW) + 90}", "quota", 90.0),
        ("claude", "You've hit your session limit · resets 3pm (UTC)", "quota", HOUR),
        ("claude", "Credit balance is too low", "quota", None),
        ("claude", "API Error: 529 Overloaded. This is a server-side issue, usually temporary", "overload", None),
        ("claude", "error_max_turns", None, None),
        ("codex", "You've hit your usage limit. Upgrade to Pro or try again in 2 hours 5 minutes.", "quota", 2 * HOUR + 300),
        ("codex", "Rate limit reached for gpt-5 on tokens. Please try again in 11.5s. Visit https://x.org", "quota", 11.5),
        ("codex", "exceeded retry limit, last status: 429 Too Many Requests, request id: 9f", "quota", None),
        ("codex", "unexpected status 401 Unauthorized: Incorrect API key provided", "login", None),
        ("gemini", "You exceeded your current quota. Please retry in 34.5s.", "quota", 34.5),
        ("gemini", "Your quota will reset after 2h3m4s.", "quota", 2 * HOUR + 184),
        ("gemini", "API key not valid. Please pass a valid API key.", "login", None),
        ("gemini", "The model is overloaded. Please try again later.", "overload", None),
        ("opencode", "Too Many Requests: rate_limit_error", "quota", None),
        ("opencode", "invalid x-api-key", "login", None),
        ("aider", "litellm.RateLimitError: OpenAIException - please try again in 20s.", "quota", 20.0),
        ("aider", "litellm.AuthenticationError: invalid key", "login", None),
        ("aider", "SyntaxError: invalid syntax", None, None),
    ],
)  # fmt: skip
def test_our_presets_know_what_their_programs_say(
    preset: str, said: str, kind: str | None, seconds: float | None
) -> None:
    found = find_preset(preset, {}).troubles.find(f"before\n{said}", "", NOW)
    assert (found and found.kind) == kind
    assert (found and found.seconds) == (None if seconds is None else pytest.approx(seconds, abs=0.01))


def test_a_reset_that_was_told_apart_counts_where_the_text_names_none() -> None:
    rules = TroubleRules(quota=("no more until (?P<reset>.*)", "no more"), login=("who are you",))
    for said, reset, seconds in [("no more", "30", 30.0), ("no more until 5s", "30", 5.0), ("who are you", "30", None)]:
        found = rules.find(said, reset, NOW)
        assert found is not None
        assert found.seconds == seconds


@pytest.mark.parametrize("pattern", ["(", "(?P<when>x)"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"is no regular expression|the only one that is read is 'reset'"):
        TroubleRules(quota=(pattern,))

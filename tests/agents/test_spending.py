"""What requests cost, by the price list."""

from __future__ import annotations

import pytest

from orchestrator.agents.spending import Spending


def test_each_request_is_priced_with_what_the_cache_saves() -> None:
    spending = Spending(provider="anthropic")
    whole = spending.add("claude-sonnet-5-5", fresh=100_000, cache_read=0, cache_write=0, output=1000)
    cached = spending.add("claude-sonnet-5-5", fresh=0, cache_read=100_000, cache_write=0, output=1000)
    assert whole is not None
    assert cached is not None
    assert 0 < cached < whole
    assert whole == pytest.approx(100_000 * 2e-6 + 1000 * 10e-6)
    assert spending.usd == pytest.approx(whole + cached)
    assert (spending.requests, spending.unpriced) == (2, 0)


def test_a_model_without_a_price_is_counted_as_unpriced() -> None:
    spending = Spending(provider="anthropic")
    assert spending.add("model-of-mine", fresh=1, cache_read=0, cache_write=0, output=1) is None
    assert (spending.usd, spending.requests, spending.unpriced, spending.unknown) == (0.0, 1, 1, "model-of-mine")

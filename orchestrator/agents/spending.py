"""What a model's answers cost, request by request, by the prices that `genai-prices` knows without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Spending"]


@dataclass(slots=True, kw_only=True)
class Spending:
    """What one attempt has spent at a provider.

    `unpriced` counts the requests whose model, `unknown` is the last of them, has no known price.
    """

    provider: str
    usd: float = 0.0
    tokens: int = 0
    requests: int = 0
    unpriced: int = 0
    unknown: str = ""

    def add(self, model: str, *, fresh: int, cache_read: int, cache_write: int, output: int) -> float | None:
        """Count one request, in tokens, and return its price; `fresh` are those of the input that no cache had a part in.

        Each request is priced by itself, since the price of a token depends on the length of its request.
        """
        from genai_prices import Usage, calc_price

        usage = Usage(
            input_tokens=fresh + cache_read + cache_write,
            cache_read_tokens=cache_read,
            cache_write_tokens=cache_write,
            output_tokens=output,
        )
        self.requests += 1
        self.tokens += fresh + cache_read + cache_write + output
        try:
            usd = float(calc_price(usage, model_ref=model, provider_id=self.provider).total_price)
        except LookupError:
            self.unpriced += 1
            self.unknown = model
            return None
        self.usd += usd
        return usd

"""What a run spends on the model, counted after each reply. No request starts once the budget is used up."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from flows.model.prices import ModelPrice
from flows.model.usage import Usage, UsageReader

_BYTES_PER_TOKEN: Final = 4
_TOKENS_PER_SECOND: Final = 200
"""Faster than a model writes, with the tokens that it does not show."""

_MOST_TOKENS: Final = 10**7
"""More than any reply takes: a larger number is damage."""

_FIRST_ERROR: Final = 400
_TOKEN_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True)
class ModelRequest:
    """One request to the model, until its reply ends."""

    size: int
    """Bytes of its body."""
    max_tokens: int
    """The longest reply that it allows."""
    started_at: float = field(default_factory=time.monotonic)

    @property
    def worst_usage(self) -> Usage:
        """An upper bound of the tokens that the reply takes."""
        return {"input_tokens": self.size // _BYTES_PER_TOKEN, "output_tokens": self.max_tokens}

    def usage_of_broken_reply(self, reader: UsageReader) -> Usage:
        """Return the usage of a reply that broke off: the numbers that it held, and an upper bound of its output."""
        seconds = time.monotonic() - self.started_at
        written = max(reader.size // _BYTES_PER_TOKEN, min(int(seconds * _TOKENS_PER_SECOND), self.max_tokens))
        return {"input_tokens": self.size // _BYTES_PER_TOKEN, **reader.usage, "output_tokens": written}


class Meter:
    """A run's spending, summed over all attempts of its agent.

    Args:
        price: The model's price.
        budget_usd: The limit in US dollars; 0 for no limit.
    """

    def __init__(self, price: ModelPrice, budget_usd: float = 0) -> None:
        self.price = price
        self.budget_usd = budget_usd
        self.spent_usd = 0.0
        self.replies = 0
        self.tokens = dict.fromkeys(_TOKEN_COUNTS, 0)
        self.is_exact = price.is_known
        """Whether all replies held their usage, and the price is known. If not, `spent_usd` is an upper bound."""
        self.has_refused = False
        self._in_flight: list[ModelRequest] = []

    @property
    def is_settled(self) -> bool:
        """Whether no request is in flight."""
        return not self._in_flight

    def must_wait(self, request: ModelRequest) -> bool:
        """Whether this request and those in flight could together exceed the budget."""
        if not self.budget_usd or not self._in_flight:
            return False
        worst_usd = sum(self.price.usd(each.worst_usage) for each in (*self._in_flight, request))
        return self.spent_usd + worst_usd > self.budget_usd

    def start(self, request: ModelRequest) -> bool:
        """Count a request as in flight, unless the budget is used up; return whether it may be sent."""
        if self.budget_usd and self.spent_usd >= self.budget_usd:
            self.has_refused = True
            return False
        self._in_flight.append(request)
        return True

    def settle(self, request: ModelRequest, status: int = 0, reader: UsageReader | None = None) -> None:
        """Count a reply that has ended. An error costs nothing, and neither does a request without a reply."""
        self._in_flight.remove(request)
        if reader is None or status >= _FIRST_ERROR:
            return
        usage, usd, is_exact = self._count(request, reader)
        self.is_exact = self.is_exact and is_exact
        self.spent_usd += usd
        self.replies += 1
        for name in _TOKEN_COUNTS:
            self.tokens[name] += usage.get(name) or 0

    def _count(self, request: ModelRequest, reader: UsageReader) -> tuple[Usage, float, bool]:
        """Return a reply's usage, its price, and whether both are exact. For damaged numbers they are upper bounds."""
        usage = reader.usage if reader.is_final else request.usage_of_broken_reply(reader)
        if all(_is_count(usage.get(name) or 0) for name in _TOKEN_COUNTS):
            with suppress(Exception):  # of genai-prices, for numbers that contradict each other
                return usage, self.price.usd(usage), reader.is_final
        return request.worst_usage, self.price.usd(request.worst_usage), False

    @property
    def spending(self) -> dict[str, Any]:
        """The count so far, for `resume`."""
        return {
            "spent_usd": self.spent_usd,
            "replies": self.replies,
            "tokens": dict(self.tokens),
            "is_exact": self.is_exact,
        }

    def resume(self, spending: Mapping[str, Any]) -> None:
        """Continue the count of an earlier attempt of the run."""
        self.spent_usd, self.replies = spending["spent_usd"], spending["replies"]
        self.tokens, self.is_exact = dict(spending["tokens"]), spending["is_exact"]

    def __str__(self) -> str:
        count = sum(self.tokens.values())
        about = "" if self.is_exact else "at most "
        return f"{about}${self.spent_usd:.4f}, {self.replies} replies, {count:,} tokens"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _MOST_TOKENS

"""Adds up what a run spends on the model, after each reply. No new request starts once the budget is used up."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from flows.model.cache_use import CacheUse
from flows.model.prices import ModelPrice
from flows.model.usage import INPUT_COUNTS, Usage, UsageReader

_BYTES_PER_TOKEN: Final = 4
_TOKENS_PER_SECOND: Final = 200
"""An upper bound on the tokens that a model writes per second, including hidden tokens."""

_MOST_TOKENS: Final = 10**7
"""An upper bound on each of the token counts of one reply. A larger number in a reply must be corrupt."""

_FIRST_ERROR: Final = 400
_TOKEN_COUNTS: Final = (*INPUT_COUNTS, "output_tokens")


@dataclass(frozen=True)
class ModelRequest:
    """A request to the model, from before it is sent until its reply ends."""

    size: int
    """The size of the request's body in bytes."""
    max_tokens: int
    """The most tokens that the reply may have, according to the request; 0 if the request does not say."""
    started_at: float = field(default_factory=time.monotonic)

    @property
    def worst_usage(self) -> Usage:
        """An upper bound on the tokens of the request and its reply."""
        return {**self._worst_input, "output_tokens": self.max_tokens}

    @property
    def _worst_input(self) -> Usage:
        """An upper bound on the input: the whole request is written to the cache for an hour, which costs the most."""
        tokens = self.size // _BYTES_PER_TOKEN
        return {"cache_creation_input_tokens": tokens, "cache_creation": {"ephemeral_1h_input_tokens": tokens}}

    def usage_of_broken_reply(self, reader: UsageReader) -> Usage:
        """Return the usage of a reply that broke off: the counts in it, and an upper bound on its output tokens."""
        seconds = time.monotonic() - self.started_at
        output_tokens = max(reader.size // _BYTES_PER_TOKEN, min(int(seconds * _TOKENS_PER_SECOND), self.max_tokens))
        return {**(reader.usage or self._worst_input), "output_tokens": output_tokens}


class _Cost(NamedTuple):
    """The cost of one reply. If it is not exact, the usage and the dollars are upper bounds."""

    usage: Usage
    usd: float
    saved_usd: float
    """How many US dollars the cache saved."""
    is_exact: bool


class Meter:
    """Adds up what a run spends on the model, over all attempts of the run.

    Args:
        price: The price of the run's model.
        budget_usd: The most that the run may spend, in US dollars; 0 for no limit.
    """

    def __init__(self, price: ModelPrice, budget_usd: float = 0) -> None:
        self.price = price
        self.budget_usd = budget_usd
        self.spent_usd = 0.0
        self.replies = 0
        self.tokens = dict.fromkeys(_TOKEN_COUNTS, 0)
        self.is_exact = price.is_known
        """Whether the price is known and all replies contained their usage. If not, `spent_usd` is an upper bound."""
        self.has_refused = False
        self._cache_saved_usd = 0.0
        self._in_flight: list[ModelRequest] = []

    @property
    def is_settled(self) -> bool:
        """Whether the cost of every request that was started is counted."""
        return not self._in_flight

    def must_wait(self, request: ModelRequest) -> bool:
        """Return whether a request must wait, because it and those in progress could together exceed the budget."""
        if not self.budget_usd or not self._in_flight:
            return False
        worst_usd = sum(self.price.usd(item.worst_usage) for item in (*self._in_flight, request))
        return self.spent_usd + worst_usd > self.budget_usd

    def start(self, request: ModelRequest) -> bool:
        """Return False if the budget is used up. Otherwise, count a request as in progress, and return True."""
        if self.budget_usd and self.spent_usd >= self.budget_usd:
            self.has_refused = True
            return False
        self._in_flight.append(request)
        return True

    def settle(self, request: ModelRequest, status: int = 0, reader: UsageReader | None = None) -> None:
        """Count the cost of a request whose reply has ended. An error reply, or no reply, costs nothing."""
        self._in_flight.remove(request)
        if reader is None or status >= _FIRST_ERROR:
            return
        cost = self._count(request, reader)
        self.is_exact = self.is_exact and cost.is_exact
        self.spent_usd += cost.usd
        self._cache_saved_usd += cost.saved_usd
        self.replies += 1
        for name in _TOKEN_COUNTS:
            self.tokens[name] += cost.usage.get(name) or 0

    def _count(self, request: ModelRequest, reader: UsageReader) -> _Cost:
        usage = reader.usage if reader.is_final else request.usage_of_broken_reply(reader)
        counts = [usage.get(name) or 0 for name in _TOKEN_COUNTS]
        if all(isinstance(count, int) and 0 <= count <= _MOST_TOKENS for count in counts):
            with suppress(Exception):  # genai-prices raises one for numbers that contradict each other
                usd = self.price.usd(usage)
                is_exact = reader.is_final and self.price.is_known
                return _Cost(usage, usd, self.price.usd_without_cache(usage) - usd if is_exact else 0.0, is_exact)
        return _Cost(request.worst_usage, self.price.usd(request.worst_usage), 0.0, is_exact=False)

    @property
    def cache(self) -> CacheUse:
        """What the provider's prompt cache did for the run so far."""
        input_tokens = sum(self.tokens[name] for name in INPUT_COUNTS)
        return CacheUse(input_tokens, self.tokens["cache_read_input_tokens"], self._cache_saved_usd)

    @property
    def spending(self) -> dict[str, Any]:
        """What the run has spent so far, in the form that `resume` accepts."""
        return {
            "spent_usd": self.spent_usd,
            "replies": self.replies,
            "tokens": dict(self.tokens),
            "cache_saved_usd": self._cache_saved_usd,
            "is_exact": self.is_exact,
        }

    def resume(self, spending: Mapping[str, Any]) -> None:
        """Continue counting from what earlier attempts of the run have spent."""
        self.spent_usd, self.replies = spending["spent_usd"], spending["replies"]
        self.tokens, self.is_exact = dict(spending["tokens"]), spending["is_exact"]
        self._cache_saved_usd = spending.get("cache_saved_usd", 0.0)  # earlier versions did not save it

    def __str__(self) -> str:
        tokens = sum(self.tokens.values())
        qualifier = "" if self.is_exact else "at most "
        return f"{qualifier}${self.spent_usd:.4f} for {self.replies} replies and {tokens:,} tokens"

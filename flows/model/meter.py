"""What a run spends on the model: counted reply by reply, and stopped before the request that would go on above."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from flows.model.prices import ModelPrice
from flows.model.usage import Usage, UsageReader

_BYTES_A_TOKEN: Final = 4
_TOKENS_A_SECOND: Final = 200
"""Faster than a model writes, also what it does not show."""

_MOST_TOKENS: Final = 10**7
"""More than any reply takes: a larger number is damage."""

_FIRST_ERROR: Final = 400
_COUNTED: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True)
class Asked:
    """One request to the model, before it is answered."""

    size: int
    """Bytes of its body."""
    max_tokens: int
    """The longest reply that it allows."""
    at: float = field(default_factory=time.monotonic)

    @property
    def worst_usage(self) -> Usage:
        """The most that the reply can take."""
        return {"input_tokens": self.size // _BYTES_A_TOKEN, "output_tokens": self.max_tokens}

    def least_known_usage(self, reader: UsageReader) -> Usage:
        """Return what a reply took that broke off: what it said, and for what it wrote an upper bound."""
        lasted = int((time.monotonic() - self.at) * _TOKENS_A_SECOND)
        written = max(reader.size // _BYTES_A_TOKEN, min(lasted, self.max_tokens))
        return {"input_tokens": self.size // _BYTES_A_TOKEN, **reader.usage, "output_tokens": written}


class Meter:
    """A run's spending, over all attempts of its agent.

    Args:
        price: What the model costs.
        budget_usd: Where it stops, in US dollars; 0 for no limit.
    """

    def __init__(self, price: ModelPrice, budget_usd: float = 0) -> None:
        self.price = price
        self.budget_usd = budget_usd
        self.spent_usd = 0.0
        self.replies = 0
        self.tokens = dict.fromkeys(_COUNTED, 0)
        self.is_exact = price.is_known
        """Whether each reply said what it took, and the model's price is known; if not, we counted high."""
        self.has_refused = False
        self._in_flight: list[Asked] = []

    @property
    def is_settled(self) -> bool:
        """Whether no reply is under way."""
        return not self._in_flight

    def must_wait(self, asked: Asked) -> bool:
        """Whether the replies under way could use the budget up, so that this request is not to start beside them."""
        if not self.budget_usd or not self._in_flight:
            return False
        open_usd = sum(self.price.usd(other.worst_usage) for other in (*self._in_flight, asked))
        return self.spent_usd + open_usd > self.budget_usd

    def start(self, asked: Asked) -> bool:
        """Let a request start, unless the budget is used up."""
        if self.budget_usd and self.spent_usd >= self.budget_usd:
            self.has_refused = True
            return False
        self._in_flight.append(asked)
        return True

    def settle(self, asked: Asked, status: int = 0, reader: UsageReader | None = None) -> None:
        """Count a reply that is over; an error costs nothing, and neither does a request without an answer."""
        self._in_flight.remove(asked)
        if reader is None or status >= _FIRST_ERROR:
            return
        usage, usd, is_exact = self._count(asked, reader)
        self.is_exact = self.is_exact and is_exact
        self.spent_usd += usd
        self.replies += 1
        for name in _COUNTED:
            self.tokens[name] += usage.get(name) or 0

    def _count(self, asked: Asked, reader: UsageReader) -> tuple[Usage, float, bool]:
        """Return what a reply took, its price, and whether both are exact: of what makes no sense, the most it can."""
        usage = reader.usage if reader.is_final else asked.least_known_usage(reader)
        if all(_is_count(usage.get(name) or 0) for name in _COUNTED):
            with suppress(Exception):  # the price list's own, for numbers that contradict each other
                return usage, self.price.usd(usage), reader.is_final
        return asked.worst_usage, self.price.usd(asked.worst_usage), False

    @property
    def spending(self) -> dict[str, Any]:
        """What is counted so far, for `resume`."""
        return {
            "spent_usd": self.spent_usd,
            "replies": self.replies,
            "tokens": dict(self.tokens),
            "is_exact": self.is_exact,
        }

    def resume(self, spending: Mapping[str, Any]) -> None:
        """Continue the count from what an earlier attempt of the run had spent."""
        self.spent_usd, self.replies = spending["spent_usd"], spending["replies"]
        self.tokens, self.is_exact = dict(spending["tokens"]), spending["is_exact"]

    def __str__(self) -> str:
        count = sum(self.tokens.values())
        about = "" if self.is_exact else "at most "
        return f"{about}${self.spent_usd:.4f}, {self.replies} replies, {count:,} tokens"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _MOST_TOKENS

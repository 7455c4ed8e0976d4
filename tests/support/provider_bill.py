"""Computes what the provider bills for requests, from its published prices and without this project's price list.

Prices: https://docs.claude.com/en/docs/about-claude/pricing, as of November 2026.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.support.prompt_cache import CountedRequest

_MILLION: Final = 1_000_000
WRITE_5M: Final = 1.25
"""The price of a token that is written to the cache for five minutes, as a multiple of an input token's price."""
WRITE_1H: Final = 2.0
"""The same for one hour."""


@dataclass(frozen=True)
class Price:
    """The prices of a model, in US dollars for a million tokens."""

    input: float
    output: float
    read_multiplier: float = 0.1
    """The price of a token that is read from the cache, as a multiple of an input token's price."""

    def usd(self, request: CountedRequest) -> float:
        """Return what the provider bills for one request. A request whose reply did not begin costs nothing."""
        if request.output_tokens is None:
            return 0
        written = WRITE_5M * request.written_5m + WRITE_1H * request.written_1h
        input_tokens = request.uncached + written + self.read_multiplier * request.read
        return (input_tokens * self.input + request.output_tokens * self.output) / _MILLION


PRICES: Final[Mapping[str, Price]] = {
    "claude-opus-5": Price(5, 25),
    "claude-opus-5-5": Price(4, 20, 0.05),
    "claude-sonnet-5": Price(2, 10),
    "claude-sonnet-5-5": Price(2, 10, 0.05),
    "claude-sonnet-4-5": Price(3, 15),
    "claude-haiku-4-5": Price(1, 5),
}


REGIONAL: Final = 1.1
"""On Bedrock, requests through a regional endpoint cost this much more than through the global one."""


def bill_usd(requests: Iterable[CountedRequest]) -> float:
    """Return what the provider bills for requests, in US dollars."""
    return sum(_premium(request.model) * _price(request.model).usd(request) for request in requests)


def _price(model: str) -> Price:
    return PRICES[model.rpartition("anthropic.")[2]]


def _premium(model: str) -> float:
    return REGIONAL if "anthropic." in model and not model.startswith("global.") else 1

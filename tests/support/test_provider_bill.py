"""The simulated bill has the provider's published prices, and the run's meter comes to the same sums."""

import math
from dataclasses import replace

import pytest

from flows.model.prices import ModelPrice
from tests.support.prompt_cache import CountedRequest, PromptCache
from tests.support.provider_bill import PRICES, bill_usd

MILLION = 1_000_000


def request(model: str, **tokens: int) -> CountedRequest:
    counted = PromptCache().receive({"model": model, "messages": []})
    for name, count in {"output_tokens": 0, **tokens}.items():
        setattr(counted, name, count)
    return counted


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        ("claude-opus-5", (5, 6.25, 10, 0.50, 25)),
        ("claude-sonnet-5", (2, 2.50, 4, 0.20, 10)),
        ("claude-sonnet-4-5", (3, 3.75, 6, 0.30, 15)),
        ("claude-haiku-4-5", (1, 1.25, 2, 0.10, 5)),
        ("claude-opus-5-5", (4, 5, 8, 0.20, 20)),
        ("claude-sonnet-5-5", (2, 2.50, 4, 0.10, 10)),
    ],
)
def test_a_million_tokens_have_the_published_price(model: str, prices: tuple[float, ...]) -> None:
    names = ("uncached", "written_5m", "written_1h", "read", "output_tokens")
    bills = [bill_usd([request(model, **{name: MILLION})]) for name in names]
    assert bills == pytest.approx(list(prices))


def test_a_request_without_a_reply_costs_nothing() -> None:
    assert bill_usd([replace(request("claude-opus-5", uncached=MILLION), output_tokens=None)]) == 0


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        *(("anthropic", model) for model in PRICES),
        ("bedrock", "us.anthropic.claude-sonnet-5-5"),
        ("bedrock", "global.anthropic.claude-sonnet-5-5"),
    ],
)
def test_the_meters_price_of_a_reply_is_the_bill(provider: str, model: str) -> None:
    reply = request(model, read=70_001, written_1h=5003, written_5m=2002, uncached=1001, output_tokens=507)
    metered = ModelPrice.of(provider, model).usd({**reply.usage, "output_tokens": 507})
    assert math.isclose(metered, bill_usd([reply]), rel_tol=1e-9)

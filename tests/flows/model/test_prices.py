"""List prices are found under every name that a provider uses for a model."""

import pytest

from flows.model.prices import ModelPrice
from flows.parameters.provider import DEFAULT_MODEL_IDS, Provider

MILLION = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_the_default_models_have_a_price(provider: Provider) -> None:
    price = ModelPrice.of(provider, DEFAULT_MODEL_IDS[provider])
    assert price.is_known
    assert price.usd(MILLION) > 0


@pytest.mark.parametrize(
    ("provider", "model_id", "usd"),
    [
        ("anthropic", "claude-sonnet-4-5", 18.0),
        ("anthropic", "claude-sonnet-4-5[1m]", 18.0),
        ("anthropic", "claude-sonnet-4-5-20250929", 18.0),
        ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", 18.0),
        ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 19.8),
        ("bedrock", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 19.8),
    ],
)
def test_a_model_is_found_by_each_of_its_names(provider: Provider, model_id: str, usd: float) -> None:
    price = ModelPrice.of(provider, model_id)
    assert price.is_known
    # Only up to 200,000 tokens of input, because more tokens have a higher price.
    fifth = price.usd({"input_tokens": 200_000, "output_tokens": 200_000})
    assert fifth * 5 == pytest.approx(usd)


def test_cached_tokens_have_their_own_prices() -> None:
    price = ModelPrice.of("anthropic", "claude-sonnet-4-5")
    usage = {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_input_tokens": 10_000,
        "cache_creation_input_tokens": 3000,
        "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
    }
    expected = 1000 * 3 + 100 * 15 + 10_000 * 0.3 + 1000 * 3.75 + 2000 * 6
    assert price.usd(usage) == pytest.approx(expected / 1_000_000)


CACHING_MODELS = [
    (provider, f"{prefix}claude-{model}")
    for provider, prefix in (("anthropic", ""), ("bedrock", "us.anthropic."), ("bedrock", "global.anthropic."))
    for model in ("sonnet-5-5", "opus-5-5", "haiku-5-5", "opus-5")
]
CACHE_READ = {"sonnet-5-5": 0.05, "opus-5-5": 0.05}
"""The multipliers of those models whose reads from the cache cost less than a tenth of the input price."""


@pytest.mark.parametrize(("provider", "model_id"), CACHING_MODELS)
def test_the_prices_of_the_cache_are_the_documented_multiples_of_the_input_price(
    provider: Provider, model_id: str
) -> None:
    price, tokens = ModelPrice.of(provider, model_id), 50_000
    assert price.is_known
    base = price.usd({"input_tokens": tokens})
    written = {"cache_creation_input_tokens": tokens}
    five_minutes = {**written, "cache_creation": {"ephemeral_5m_input_tokens": tokens}}
    an_hour = {**written, "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": tokens}}
    assert price.usd(written) == price.usd(five_minutes) == pytest.approx(1.25 * base)
    assert price.usd(an_hour) == pytest.approx(2 * base)
    read_multiple = CACHE_READ.get(model_id.rpartition("claude-")[2], 0.1)
    assert price.usd({"cache_read_input_tokens": tokens}) == pytest.approx(read_multiple * base)


def test_the_price_without_the_cache_is_that_of_all_input_tokens() -> None:
    price = ModelPrice.of("anthropic", "claude-sonnet-4-5")
    usage = {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_input_tokens": 10_000,
        "cache_creation_input_tokens": 3000,
        "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
    }
    assert price.usd_without_cache(usage) == pytest.approx((14_000 * 3 + 100 * 15) / 1_000_000)
    assert price.usd_without_cache(MILLION) == price.usd(MILLION)


@pytest.mark.parametrize(
    ("provider", "model_id"),
    [("anthropic", "gateway-model"), ("bedrock", "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc")],
)
def test_a_model_of_unknown_price_costs_as_much_as_the_most_expensive_one(provider: Provider, model_id: str) -> None:
    price = ModelPrice.of(provider, model_id)
    assert not price.is_known
    for other in ("opus-4-1", "sonnet-4-5", "haiku-4-5"):
        assert price.usd(MILLION) >= ModelPrice.of("anthropic", f"claude-{other}").usd(MILLION)

"""The meter: no request starts above the budget, and incomplete usage is counted as an upper bound."""

import json
import time

import pytest

from flows.model.cache_use import CacheUse
from flows.model.meter import Meter, ModelRequest
from flows.model.prices import ModelPrice
from flows.model.usage import UsageReader, usage_reader

PRICE = ModelPrice.of("anthropic", "claude-sonnet-4-5")
SMALL = ModelRequest(size=4000, max_tokens=1000)
"""At most 1,000 tokens each of input, written to the cache for an hour, and of output: $0.006 and $0.015."""


def reader_with(input_tokens: int, output_tokens: int, *, final: bool = True) -> UsageReader:
    reader = usage_reader("text/event-stream")
    usage = f'{{"usage": {{"input_tokens": {input_tokens}, "output_tokens": {output_tokens}}}'
    kind = '"type": "message_delta"}' if final else '"type": "message_start"}'
    reader.feed(f"data: {usage}, {kind}\n".encode() if final else f'data: {{"message": {usage}}}, {kind}\n'.encode())
    return reader


def test_replies_add_up() -> None:
    meter = Meter(PRICE)
    for _ in range(3):
        assert meter.start(SMALL)
        meter.settle(SMALL, 200, reader_with(1000, 100))
    assert meter.spent_usd == pytest.approx(3 * (0.003 + 0.0015))
    assert meter.tokens["input_tokens"] == 3000
    assert str(meter) == "$0.0135 for 3 replies and 3,300 tokens"


def test_no_request_starts_when_the_budget_is_used_up() -> None:
    meter = Meter(PRICE, budget_usd=0.004)
    assert meter.start(SMALL)
    meter.settle(SMALL, 200, reader_with(1000, 100))
    assert not meter.has_refused
    assert not meter.start(SMALL)
    assert meter.has_refused


def test_without_a_budget_nothing_is_refused() -> None:
    meter = Meter(PRICE)
    for _ in range(5):
        assert meter.start(SMALL)
    assert not meter.must_wait(ModelRequest(size=10**9, max_tokens=10**9))


def test_requests_run_in_parallel_only_if_the_budget_covers_their_maximum_cost() -> None:
    meter = Meter(PRICE, budget_usd=0.045)
    assert not meter.must_wait(SMALL)
    first, second = ModelRequest(4000, 1000), ModelRequest(4000, 1000)
    meter.start(first)
    assert not meter.must_wait(second)
    meter.start(second)
    assert meter.must_wait(SMALL)
    meter.settle(first, 200, reader_with(1, 1))
    assert not meter.must_wait(SMALL)


def test_a_request_alone_never_waits() -> None:
    assert not Meter(PRICE, budget_usd=0.001).must_wait(ModelRequest(size=10**6, max_tokens=128_000))


@pytest.mark.parametrize("status", [400, 429, 529])
def test_an_error_costs_nothing(status: int) -> None:
    meter = Meter(PRICE, budget_usd=1)
    meter.start(SMALL)
    meter.settle(SMALL, status, reader_with(1000, 1000))
    assert meter.spent_usd == 0
    assert meter.is_exact


def test_a_request_without_a_reply_costs_nothing() -> None:
    meter = Meter(PRICE, budget_usd=1)
    meter.start(SMALL)
    meter.settle(SMALL)
    assert (meter.spent_usd, meter.replies) == (0, 0)


def test_an_incomplete_reply_is_counted_as_an_upper_bound() -> None:
    meter = Meter(PRICE, budget_usd=1)
    request = ModelRequest(size=4000, max_tokens=1000, started_at=time.monotonic() - 2)
    meter.start(request)
    meter.settle(request, 200, reader_with(900, 1, final=False))
    # Two seconds at 200 tokens per second.
    assert meter.tokens["output_tokens"] == pytest.approx(400, abs=40)
    assert meter.tokens["input_tokens"] == 900
    assert not meter.is_exact
    assert str(meter).startswith("at most $")


def test_a_reply_that_hung_is_counted_with_its_maximum_of_tokens() -> None:
    meter = Meter(PRICE)
    request = ModelRequest(size=4000, max_tokens=1000, started_at=time.monotonic() - 600)
    meter.start(request)
    meter.settle(request, 200, usage_reader("text/event-stream"))
    assert meter.tokens["output_tokens"] == 1000
    assert meter.tokens["cache_creation_input_tokens"] == 1000
    assert meter.spent_usd == pytest.approx(0.006 + 0.015)


def test_a_cost_at_an_unknown_price_is_shown_as_an_upper_bound() -> None:
    assert str(Meter(ModelPrice.of("anthropic", "unheard-of"))).startswith("at most $")


def cached_reply(read: int, written_5m: int, written_1h: int) -> UsageReader:
    """Return the reader of a reply with 1,000 uncached tokens of input and 100 of output."""
    reader = usage_reader("application/json")
    usage = {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written_5m + written_1h,
        "cache_creation": {"ephemeral_5m_input_tokens": written_5m, "ephemeral_1h_input_tokens": written_1h},
    }
    reader.feed(json.dumps({"type": "message", "usage": usage}).encode())
    return reader


def settled(price: ModelPrice, *replies: UsageReader) -> Meter:
    """Return a meter that has counted these replies."""
    meter = Meter(price)
    for reply in replies:
        meter.start(SMALL)
        meter.settle(SMALL, 200, reply)
    return meter


def test_writes_to_the_cache_cost_what_their_lifetime_costs() -> None:
    uncached = 1000 * 3 + 100 * 15
    assert settled(PRICE, cached_reply(0, 1000, 0)).spent_usd == pytest.approx((uncached + 1000 * 3.75) / 1e6)
    assert settled(PRICE, cached_reply(0, 0, 1000)).spent_usd == pytest.approx((uncached + 1000 * 6) / 1e6)
    assert settled(PRICE, cached_reply(1000, 0, 0)).spent_usd == pytest.approx((uncached + 1000 * 0.3) / 1e6)


def test_the_savings_of_the_cache_are_what_the_same_tokens_cost_without_it() -> None:
    meter = settled(PRICE, cached_reply(0, 8000, 0), cached_reply(8000, 0, 0), cached_reply(8000, 0, 0))
    saved = (2 * 8000 * (3 - 0.3) - 8000 * (3.75 - 3)) / 1e6
    assert (meter.cache.input_tokens, meter.cache.read_tokens) == (27_000, 16_000)
    assert meter.cache.saved_usd == pytest.approx(saved)
    assert str(meter.cache) == f"59% of the input tokens were read from the cache, which saved ${saved:.4f}"
    later = Meter(PRICE)
    later.resume(meter.spending)
    assert later.cache == meter.cache


def test_a_cache_that_is_only_written_costs_more_than_none() -> None:
    meter = settled(PRICE, cached_reply(0, 0, 9000))
    assert (meter.cache.input_tokens, meter.cache.read_tokens) == (10_000, 0)
    assert meter.cache.saved_usd == pytest.approx(-9000 * 3 / 1e6)
    assert "cost $0.0270 more" in str(meter.cache)


def test_the_savings_at_an_unknown_price_are_not_claimed() -> None:
    meter = settled(ModelPrice.of("anthropic", "unheard-of"), cached_reply(9000, 0, 0))
    assert meter.cache == CacheUse(10_000, 9000, 0)
    assert str(meter.cache) == "90% of the input tokens were read from the cache"


def test_usage_that_contradicts_itself_is_counted_as_an_upper_bound() -> None:
    reader = usage_reader("application/json")
    usage = '{"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 5000}}'
    reader.feed(f'{{"type": "message", "usage": {usage}}}'.encode())
    meter = settled(PRICE, reader)
    assert meter.spent_usd == pytest.approx(0.006 + 0.015)
    assert not meter.is_exact
    assert meter.cache.saved_usd == 0


def test_the_spending_of_an_earlier_version_can_be_resumed() -> None:
    meter = Meter(PRICE)
    spending = settled(PRICE, cached_reply(9000, 0, 0)).spending
    del spending["cache_saved_usd"]
    meter.resume(spending)
    assert meter.cache == CacheUse(10_000, 9000, 0)

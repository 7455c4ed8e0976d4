"""What a run may still spend: no request starts above the budget, and what is not said is counted high."""

import time

import pytest

from flows.model.meter import Meter, ModelRequest
from flows.model.prices import ModelPrice
from flows.model.usage import UsageReader, usage_reader

PRICE = ModelPrice.of("anthropic", "claude-sonnet-4-5")
SMALL = ModelRequest(size=4000, max_tokens=1000)
"""At worst 1,000 tokens each way: $0.003 and $0.015."""


def said(input_tokens: int, output_tokens: int, *, final: bool = True) -> UsageReader:
    reader = usage_reader("text/event-stream")
    usage = f'{{"usage": {{"input_tokens": {input_tokens}, "output_tokens": {output_tokens}}}'
    kind = '"type": "message_delta"}' if final else '"type": "message_start"}'
    reader.feed(f"data: {usage}, {kind}\n".encode() if final else f'data: {{"message": {usage}}}, {kind}\n'.encode())
    return reader


def test_replies_add_up() -> None:
    meter = Meter(PRICE)
    for _ in range(3):
        assert meter.start(SMALL)
        meter.settle(SMALL, 200, said(1000, 100))
    assert meter.spent_usd == pytest.approx(3 * (0.003 + 0.0015))
    assert meter.tokens["input_tokens"] == 3000
    assert str(meter) == "$0.0135, 3 replies, 3,300 tokens"


def test_no_request_starts_when_the_budget_is_used_up() -> None:
    meter = Meter(PRICE, budget_usd=0.004)
    assert meter.start(SMALL)
    meter.settle(SMALL, 200, said(1000, 100))
    assert not meter.has_refused
    assert not meter.start(SMALL)
    assert meter.has_refused


def test_without_a_budget_nothing_is_refused() -> None:
    meter = Meter(PRICE)
    for _ in range(5):
        assert meter.start(SMALL)
    assert not meter.must_wait(ModelRequest(size=10**9, max_tokens=10**9))


def test_requests_start_beside_each_other_only_as_far_as_the_budget_bears_their_worst() -> None:
    meter = Meter(PRICE, budget_usd=0.04)
    assert not meter.must_wait(SMALL)
    first, second = ModelRequest(4000, 1000), ModelRequest(4000, 1000)
    meter.start(first)
    assert not meter.must_wait(second)
    meter.start(second)
    assert meter.must_wait(SMALL)
    meter.settle(first, 200, said(1, 1))
    assert not meter.must_wait(SMALL)


def test_a_request_alone_never_waits() -> None:
    assert not Meter(PRICE, budget_usd=0.001).must_wait(ModelRequest(size=10**6, max_tokens=128_000))


@pytest.mark.parametrize("status", [400, 429, 529])
def test_an_error_costs_nothing(status: int) -> None:
    meter = Meter(PRICE, budget_usd=1)
    meter.start(SMALL)
    meter.settle(SMALL, status, said(1000, 1000))
    assert meter.spent_usd == 0
    assert meter.is_exact


def test_a_request_without_an_answer_costs_nothing() -> None:
    meter = Meter(PRICE, budget_usd=1)
    meter.start(SMALL)
    meter.settle(SMALL)
    assert (meter.spent_usd, meter.replies) == (0, 0)


def test_a_reply_that_broke_off_counts_for_what_it_may_have_taken() -> None:
    meter = Meter(PRICE, budget_usd=1)
    request = ModelRequest(size=4000, max_tokens=1000, started_at=time.monotonic() - 2)
    meter.start(request)
    meter.settle(request, 200, said(900, 1, final=False))
    # Two seconds at 200 tokens.
    assert meter.tokens["output_tokens"] == pytest.approx(400, abs=40)
    assert meter.tokens["input_tokens"] == 900
    assert not meter.is_exact
    assert str(meter).startswith("at most $")


def test_a_reply_that_hung_counts_for_no_more_than_it_was_allowed() -> None:
    meter = Meter(PRICE)
    request = ModelRequest(size=4000, max_tokens=1000, started_at=time.monotonic() - 600)
    meter.start(request)
    meter.settle(request, 200, usage_reader("text/event-stream"))
    assert meter.tokens["output_tokens"] == 1000
    assert meter.tokens["input_tokens"] == 1000


def test_a_price_that_is_not_known_is_said_to_be_a_bound() -> None:
    assert str(Meter(ModelPrice.of("anthropic", "unheard-of"))).startswith("at most $")

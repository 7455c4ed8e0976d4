"""The simulation of the prompt cache counts as the provider's documentation says, mostly in its own examples.

https://docs.claude.com/en/docs/build-with-claude/prompt-caching
"""

from typing import Any

import pytest

from tests.support.prompt_cache import minimum_tokens
from tests.support.simulated_provider import (
    LONG,
    MARK,
    MARK_1H,
    TOKEN,
    Block,
    Provider,
    assistant,
    marked,
    text,
    user,
)  # fmt: skip


@pytest.fixture
def provider() -> Provider:
    return Provider()


def test_the_same_prompt_is_written_and_then_read(provider: Provider) -> None:
    body = {"system": [text("the book", 188_086, MARK)], "messages": [user(text("question", 21))]}
    assert provider.ask(**body) == (0, 188_086, 21)
    assert provider.ask(**body) == (188_086, 0, 21)


def test_cached_content_and_a_new_message(provider: Provider) -> None:
    system = [text("context", 100_000, MARK)]
    provider.ask(system=system, messages=[user(text("first", 9))])
    request = provider.receive(system=system, messages=[user(text("another", 50))])
    assert request.usage["cache_read_input_tokens"] == 100_000
    assert request.usage["cache_creation_input_tokens"] == 0
    assert request.usage["input_tokens"] == 50
    assert request.tokens == 100_050


def test_automatic_caching_moves_with_the_conversation(provider: Provider) -> None:
    turns = [user(text("User(1)", 1000)), assistant(text("Asst(1)", 200)), user(text("User(2)", 30))]
    body: dict[str, Any] = {"system": "System" + TOKEN * 5000, **MARK}
    assert provider.ask(messages=turns, **body) == (0, 6230, 0), "everything is written"
    turns = [*turns, assistant(text("Asst(2)", 400)), user(text("User(3)", 50))]
    assert provider.ask(messages=turns, **body) == (6230, 450, 0), "Asst(2) and User(3) are written"
    turns = [*turns, assistant(text("Asst(3)", 600)), user(text("User(4)", 70))]
    assert provider.ask(messages=turns, **body) == (6680, 670, 0), "Asst(3) and User(4) are written"


def test_the_lookback_finds_the_last_write_within_20_blocks(provider: Provider) -> None:
    assert provider.ask_blocks(marked(10, 10)) == (0, 10_000, 0)
    assert provider.ask_blocks(marked(15, 15)) == (10_000, 5000, 0)
    assert provider.ask_blocks(marked(35, 35)) == (0, 35_000, 0), "block 15 is one position outside the window"


def test_a_second_mark_starts_a_second_window(provider: Provider) -> None:
    provider.ask_blocks(marked(15, 15))
    assert provider.ask_blocks(marked(35, 15, 35)) == (15_000, 20_000, 0)


def test_the_window_includes_the_mark_itself(provider: Provider) -> None:
    provider.ask_blocks(marked(15, 15))
    assert provider.ask_blocks(marked(34, 34)) == (15_000, 19_000, 0)


def test_nothing_is_written_at_blocks_without_a_mark(provider: Provider) -> None:
    static = [text(f"static {n}") for n in range(5)]
    for time in ("9:00", "9:01"):
        assert provider.ask_blocks([*static, text(time, mark=MARK)]) == (0, 6000, 0)
    static[-1] |= MARK
    assert provider.ask_blocks([*static, text("9:02")]) == (0, 5000, 1000)
    assert provider.ask_blocks([*static, text("9:03")]) == (5000, 0, 1000)


@pytest.mark.parametrize("kind", ["tool_use", "tool_result"])
def test_a_run_of_tool_blocks_is_one_position(provider: Provider, kind: str) -> None:
    prefix = [text("prefix", mark=MARK)]
    run = [{"type": kind, "id": n, "content": TOKEN} for n in range(30)]
    provider.ask_blocks(prefix)
    assert provider.ask_blocks([text("prefix"), *run, text("end", mark=MARK)]) == (1000, 1030, 0)
    others = [{"type": "text", "text": f"{n}{TOKEN}"} for n in range(30)]
    assert provider.ask_blocks([text("prefix"), *others, text("end", mark=MARK)]) == (0, 2030, 0)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-opus-5", 512),
        ("claude-opus-5-20260724", 512),
        ("claude-fable-5", 512),
        ("claude-mythos-5-1", 512),
        ("claude-sonnet-5-5", 512),
        ("us.anthropic.claude-sonnet-5-5", 512),
        ("claude-haiku-5-5", 512),
        ("claude-sonnet-5", 1024),
        ("claude-sonnet-5-20260601", 1024),
        ("anthropic.claude-sonnet-5-v1:0", 1024),
        ("claude-opus-4-8", 1024),
        ("claude-sonnet-4-5-20250929", 1024),
        ("claude-opus-4-7", 2048),
        ("claude-mythos-preview", 2048),
        ("claude-opus-4-6", 4096),
        ("claude-haiku-4-5-20251001", 4096),
    ],
)
def test_a_prefix_below_the_minimum_of_the_model_is_not_cached(provider: Provider, model: str, tokens: int) -> None:
    assert minimum_tokens(model) == tokens
    for _ in range(2):
        assert provider.ask_blocks([text("short", tokens - 1, MARK)], model=model) == (0, 0, tokens - 1)
    assert provider.ask_blocks([text("long", tokens, MARK)], model=model) == (0, tokens, 0)
    assert provider.ask_blocks([text("long", tokens, MARK)], model=model) == (tokens, 0, 0)


@pytest.mark.parametrize(("mark", "seconds"), [(MARK, 300), (MARK_1H, 3600)], ids=["5m", "1h"])
def test_an_entry_lives_from_the_start_of_the_last_request_that_used_it(
    provider: Provider, mark: Block, seconds: int
) -> None:
    block = text("static", mark=mark)
    provider.ask_blocks([block])
    for _ in range(3):
        provider.now += seconds - 1
        assert provider.ask_blocks([block]) == (1000, 0, 0), "each read refreshes it"
    provider.now += seconds
    assert provider.ask_blocks([block]) == (0, 1000, 0)


def test_the_time_of_the_reply_counts_against_the_lifetime(provider: Provider) -> None:
    block = text("static", mark=MARK)
    request = provider.receive(messages=[user(block)])
    provider.now = 240
    request.begin_reply(1)
    provider.now = 299
    assert provider.receive(messages=[user(block)]).read == 1000
    late = Provider()
    request = late.receive(messages=[user(block)])
    late.now = 240
    request.begin_reply(1)
    late.now = 301
    assert late.receive(messages=[user(block)]).read == 0


def test_a_request_reads_only_what_a_reply_has_begun_for(provider: Provider) -> None:
    block = text("static", mark=MARK)
    first, at_the_same_time = (provider.receive(messages=[user(block)]) for _ in range(2))
    assert (first.read, at_the_same_time.read) == (0, 0)
    first.begin_reply(1)
    assert provider.receive(messages=[user(block)]).read == 1000


def mixed(*parts: tuple[int, Block | None]) -> list[Block]:
    return [text(f"part {n}", tokens, mark) for n, (tokens, mark) in enumerate(parts)]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        pytest.param([], (0, 1900, 148), id="no-hit"),
        pytest.param([(1800, MARK_1H)], (1800, 100, 148), id="a-hit-before-both"),
        pytest.param([(1800, MARK_1H), (100, MARK_1H)], (1900, 0, 148), id="a-hit-at-the-last-hour"),
        pytest.param([(1800, MARK_1H), (100, MARK_1H), (148, MARK)], (2048, 0, 0), id="a-hit-at-the-end"),
    ],
)
def test_mixed_lifetimes_are_charged_by_three_positions(
    provider: Provider, first: list[tuple[int, Block | None]], expected: tuple[int, int, int]
) -> None:
    if first:
        provider.ask_blocks(mixed(*first))
    parts = mixed((1800, MARK_1H), (100, MARK_1H), (148, MARK), (2048, None))
    request = provider.receive(messages=[user(*parts)])
    assert (request.read, request.written_1h, request.written_5m) == expected
    assert request.uncached == 2048
    created = request.usage["cache_creation"]
    assert request.usage["cache_creation_input_tokens"] == sum(created.values())
    assert created == {"ephemeral_5m_input_tokens": expected[2], "ephemeral_1h_input_tokens": expected[1]}


def test_an_hour_outlives_five_minutes_in_one_request(provider: Provider) -> None:
    body = {"system": [text("s", mark=MARK_1H)], "messages": [user(text("m", mark=MARK))]}
    provider.ask(**body)
    provider.now = 301
    assert provider.ask(**body) == (1000, 1000, 0)


def test_thinking_inside_a_prefix_counts_when_it_is_read(provider: Provider) -> None:
    thinking = {"type": "thinking", "thinking": TOKEN * LONG}
    use = {"type": "tool_use", "id": "1", "name": "weather", "input": {"city": TOKEN * 10}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": TOKEN * 10, **MARK}
    messages = [user(text("weather")), assistant(thinking, use), user(result)]
    assert provider.ask(messages=messages) == (0, 2020, 0)
    assert provider.ask(messages=[*messages, assistant(text("sunny")), user(text("thanks", mark=MARK))])[0] == 2020


def test_prewarming_writes_for_the_next_request(provider: Provider) -> None:
    system = [text("You are an expert.", 5120, MARK)]
    assert provider.ask(system=system, messages=[user(text("warmup", 8))], max_tokens=0) == (0, 5120, 8)
    assert provider.ask(system=system, messages=[user(text("How?", 12))], max_tokens=1024) == (5120, 0, 12)


def test_a_read_refreshes_every_marked_entry_that_it_used(provider: Provider) -> None:
    system = [text("s", mark=MARK)]
    for now, words in ((0, "m"), (200, "m")):
        provider.now = now
        provider.ask(system=system, messages=[user(text(words, mark=MARK))])
    provider.now = 400
    assert provider.ask(system=system, messages=[user(text("another", mark=MARK))]) == (1000, 1000, 0)

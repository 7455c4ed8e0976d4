"""What belongs to a cached prefix, and which marks a request may have, as the provider's documentation says.

https://docs.claude.com/en/docs/build-with-claude/prompt-caching
"""

import pytest

from tests.support.prompt_blocks import InvalidRequest
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
    tool,
    user,
)  # fmt: skip


@pytest.fixture
def provider() -> Provider:
    return Provider()


SAME = {
    "tools": [tool("Read", mark=MARK)],
    "system": [text("You write code.", mark=MARK)],
    "messages": [user(text("Do it.", mark=MARK))],
}


@pytest.mark.parametrize(
    ("change", "read"),
    [
        pytest.param({}, 3000, id="nothing"),
        pytest.param({"max_tokens": 9, "metadata": {"user_id": "x"}, "stream": True}, 3000, id="no-part-of-the-prompt"),
        pytest.param({"tools": [tool("Write", mark=MARK)]}, 0, id="tools"),
        pytest.param({"system": [text("You write prose.", mark=MARK)]}, 1000, id="system"),
        pytest.param({"speed": "fast"}, 1000, id="speed"),
        pytest.param({"tool_choice": {"type": "any"}}, 2000, id="tool-choice"),
        pytest.param({"messages": [user(text("Stop it.", mark=MARK))]}, 2000, id="message"),
        pytest.param({"messages": [assistant(text("Do it.", mark=MARK))]}, 2000, id="role"),
        pytest.param(
            {"messages": [*SAME["messages"], user({"type": "image", "source": {}})]}, 2000, id="image-anywhere"
        ),
        pytest.param({"thinking": {"type": "adaptive"}}, 0, id="thinking"),
        pytest.param({"output_config": {"effort": "low"}}, 0, id="effort"),
        pytest.param({"model": "claude-opus-4-8"}, 0, id="model"),
    ],
)
def test_a_change_keeps_what_stands_before_it(provider: Provider, change: Block, read: int) -> None:
    provider.ask(**SAME)
    assert provider.ask(**{**SAME, **change})[0] == read


def test_the_order_of_the_fields_in_a_tool_call_counts(provider: Provider) -> None:
    for fields in ({"path": TOKEN * LONG, "limit": 1}, {"limit": 1, "path": TOKEN * LONG}):
        use = {"type": "tool_use", "id": "1", "name": "Read", "input": fields, **MARK}
        assert provider.ask(messages=[assistant(use)]) == (0, LONG, 0)


def test_a_mark_is_no_part_of_the_prefix_and_a_string_is_one_block(provider: Provider) -> None:
    provider.ask(system=[text("s", mark=MARK)], messages=[user(text("m", mark=MARK))])
    string = {"role": "user", "content": text("m")["text"]}
    later = [string, assistant(text("a")), user(text("next", mark=MARK))]
    assert provider.ask(system=text("s")["text"], messages=later) == (2000, 2000, 0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"messages": [user(*marked(5, 1, 2, 3, 4, 5))]}, "A maximum of 4 blocks", id="five-marks"),
        pytest.param({"messages": [user(*marked(5, 1, 2, 3, 4))], **MARK}, "A maximum of 4", id="four-and-automatic"),
        pytest.param(
            {"messages": [user(text("a", mark=MARK), text("b", mark=MARK_1H))]}, "must not come after", id="hour-last"
        ),
        pytest.param({"messages": [user(text("a", mark=MARK_1H))], **MARK}, "another ttl", id="automatic-of-other-ttl"),
        pytest.param({"messages": [user({"type": "text", "text": "", **MARK})]}, "cannot be set", id="empty"),
        pytest.param(
            {"messages": [assistant({"type": "thinking", "thinking": "x", **MARK})]}, "cannot be set", id="thinking"
        ),
        pytest.param(
            {"messages": [user(text("a", mark={"cache_control": {"type": "ephemeral", "ttl": "2h"}}))]},
            "unknown value",
            id="two-hours",
        ),
    ],
)
def test_marks_that_the_provider_refuses(provider: Provider, body: Block, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        provider.receive(**body)
    assert not provider.cache.requests


def test_the_automatic_mark_skips_blocks_that_cannot_have_one(provider: Provider) -> None:
    thinking = {"type": "thinking", "thinking": TOKEN * LONG}
    messages = [user(text("u")), assistant(text("a"), thinking)]
    assert provider.ask(messages=messages, **MARK) == (0, 2000, 1000)


def test_an_automatic_mark_on_a_marked_block_changes_nothing(provider: Provider) -> None:
    assert provider.ask(messages=[user(*marked(5, 1, 2, 3, 5))], **MARK) == (0, 5000, 0)

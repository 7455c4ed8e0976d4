"""A provider with a prompt cache, for tests of the simulation: a test sets its clock, and says what a block costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.prompt_cache import CountedRequest, PromptCache

MODEL = "claude-opus-5"
MARK = {"cache_control": {"type": "ephemeral"}}
MARK_1H = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TOKEN = "§"
"""In these tests a token is this character, so that the tests say exactly how many tokens a block has."""

LONG = 1000
"""The tokens of a block whose test does not say how many it has."""

Block = dict[str, Any]


def text(name: str, tokens: int = LONG, mark: Block | None = None) -> Block:
    return {"type": "text", "text": name + TOKEN * tokens, **(mark or {})}


def tool(name: str, tokens: int = LONG, mark: Block | None = None) -> Block:
    return {"name": name, "description": TOKEN * tokens, "input_schema": {}, **(mark or {})}


def user(*blocks: Block) -> Block:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Block) -> Block:
    return {"role": "assistant", "content": list(blocks)}


@dataclass
class Provider:
    """A provider whose clock a test sets, and to whose requests it replies at once or later."""

    now: float = 0
    cache: PromptCache = field(init=False)

    def __post_init__(self) -> None:
        self.cache = PromptCache(clock=lambda: self.now, count=lambda content: content.count(TOKEN))

    def receive(self, *, model: str = MODEL, **body: Any) -> CountedRequest:  # noqa: ANN401 (JSON)
        return self.cache.receive({"model": model, **body})

    def ask(self, **body: Any) -> tuple[int, int, int]:  # noqa: ANN401 (JSON)
        """Send a request and begin its reply; return the tokens that were read, written and neither."""
        request = self.receive(**body)
        request.begin_reply(1)
        usage = request.usage
        return usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"], usage["input_tokens"]

    def ask_blocks(self, blocks: Sequence[Block], **body: Any) -> tuple[int, int, int]:  # noqa: ANN401 (JSON)
        return self.ask(messages=[user(*blocks)], **body)


def marked(count: int, *marks: int) -> list[Block]:
    """Return blocks 1 to `count`, some of them marked."""
    return [text(f"block {n} ", mark=MARK if n in marks else None) for n in range(1, count + 1)]

"""Simulates the provider's prompt cache: how many tokens of a request are read from it and written to it.

The rules are those of https://docs.claude.com/en/docs/build-with-claude/prompt-caching, as of November 2026:

- An entry is the hash of a whole prefix. It is written only at a block that is marked with `cache_control`.
- From each mark, the cache looks back at most 20 positions for an entry. A run of `tool_use` blocks is one position,
  and so is a run of `tool_result` blocks.
- A prefix below the model's minimum is neither written nor read.
- An entry becomes available when the reply of the request that writes it begins. It lives for five minutes or one hour
  from the start of the last request that wrote or read it.
- Tokens up to the longest entry are read. Tokens from there to the last mark are written: those up to the last mark of
  one hour for one hour, the rest for five minutes.

Not simulated: the tokenizer, workspaces, and entries that the provider drops before their time.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.prompt_blocks import Block, blocks_of, count_tokens

LOOKBACK_POSITIONS: Final = 20
_RUNS: Final = frozenset({"tool_use", "tool_result"})
_ONE_HOUR: Final = 3600
_DEFAULT_MINIMUM: Final = 1024
_MINIMUMS: Final = (
    (re.compile(r"(fable|mythos|opus|sonnet|haiku)-5-[1-9](?!\d)|(fable|mythos|opus)-5(?!\d)"), 512),
    (re.compile(r"mythos-preview|opus-4-7"), 2048),
    (re.compile(r"opus-4-[56]|haiku-4-5"), 4096),
)
"""The smallest prefix that is cached, in tokens, by model. All other models have `_DEFAULT_MINIMUM`."""


def minimum_tokens(model: str) -> int:
    """Return the smallest prefix that the provider caches for a model, in tokens."""
    return next((minimum for pattern, minimum in _MINIMUMS if pattern.search(model)), _DEFAULT_MINIMUM)


@dataclass
class _Entry:
    ttl_seconds: int
    expires_at: float


@dataclass
class CountedRequest:
    """The input tokens of one request, as the provider counts them."""

    cache: "PromptCache"
    body: Mapping[str, Any]
    model: str
    blocks: Sequence[Block]
    started_at: float
    read: int
    """Tokens that were read from the cache."""
    written_1h: int
    """Tokens that were written to the cache for one hour."""
    written_5m: int
    """Tokens that were written to the cache for five minutes."""
    uncached: int
    """Tokens after the last mark."""
    writes: Mapping[bytes, int]
    """The entries that the request writes, each with its lifetime in seconds."""
    output_tokens: int | None = None
    """The tokens of the reply; None if no reply began."""

    @property
    def tokens(self) -> int:
        """All input tokens."""
        return self.read + self.written_1h + self.written_5m + self.uncached

    @property
    def usage(self) -> dict[str, Any]:
        """The input tokens in the form of the API's `usage`."""
        return {
            "input_tokens": self.uncached,
            "cache_read_input_tokens": self.read,
            "cache_creation_input_tokens": self.written_5m + self.written_1h,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written_5m,
                "ephemeral_1h_input_tokens": self.written_1h,
            },
        }

    def tokens_of(self, *sections: str) -> int:
        """Return the tokens up to the end of the last of these sections."""
        return max((block.tokens for block in self.blocks if block.section in sections), default=0)

    def begin_reply(self, output_tokens: int) -> None:
        """Begin the reply. From now on other requests can read what this request writes."""
        self.output_tokens = output_tokens
        self.cache.add(self)


@dataclass
class PromptCache:
    """The prompt cache of one workspace. `requests` holds all requests that were counted."""

    clock: Callable[[], float] = time.monotonic
    count: Callable[[str], float] = count_tokens
    """Returns the tokens of a text."""
    requests: list[CountedRequest] = field(default_factory=list)
    _entries: dict[bytes, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, body: Mapping[str, Any], model: str = "") -> CountedRequest:
        """Count the tokens of a request. Its own entries are added only when its reply begins.

        Raises:
            InvalidRequest: The provider would refuse the request.
        """
        model = str(body.get("model", model))
        blocks, now = blocks_of(body, model, self.count), self.clock()
        minimum = minimum_tokens(model)
        marks = [n for n, block in enumerate(blocks) if block.ttl_seconds and block.tokens >= minimum]
        with self._lock:
            hit = next((n for mark in reversed(marks) for n in _lookback(blocks, mark) if self._has(blocks[n])), -1)
            for index in {hit, *marks} - {-1}:
                self._refresh(blocks[index], now)
            counted = self._counted(body, model, blocks, marks, hit)
            self.requests.append(counted)
        return counted

    def add(self, counted: CountedRequest) -> None:
        """Make the entries of a request available."""
        with self._lock:
            for digest, ttl_seconds in counted.writes.items():
                self._entries[digest] = _Entry(ttl_seconds, counted.started_at + ttl_seconds)

    def _has(self, block: Block) -> bool:
        entry = self._entries.get(block.digest)
        return entry is not None and self.clock() < entry.expires_at

    def _refresh(self, block: Block, now: float) -> None:
        if self._has(block):
            entry = self._entries[block.digest]
            entry.expires_at = now + entry.ttl_seconds

    def _counted(
        self, body: Mapping[str, Any], model: str, blocks: Sequence[Block], marks: Sequence[int], hit: int
    ) -> CountedRequest:
        read = blocks[hit].tokens if hit >= 0 else 0
        end = blocks[marks[-1]].tokens if marks else 0
        end_1h = max((blocks[mark].tokens for mark in marks if blocks[mark].ttl_seconds == _ONE_HOUR), default=0)
        end_1h = max(read, end_1h)
        writes = {blocks[mark].digest: blocks[mark].ttl_seconds for mark in marks if not self._has(blocks[mark])}
        total = blocks[-1].tokens if blocks else 0
        return CountedRequest(
            self, body, model, blocks, self.clock(), read, end_1h - read, end - end_1h, total - end, writes
        )


def _lookback(blocks: Sequence[Block], mark: int) -> Iterator[int]:
    """Yield the indexes of the blocks at which the cache looks for an entry, from a mark on backwards."""
    positions = 0
    for index in range(mark, -1, -1):
        is_in_run = index < mark and blocks[index].kind in _RUNS and blocks[index].kind == blocks[index + 1].kind
        positions += not is_in_run
        if positions > LOOKBACK_POSITIONS:
            return
        yield index

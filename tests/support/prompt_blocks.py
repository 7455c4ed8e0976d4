"""Reads a request to the model as the provider's prompt cache does: as a list of blocks, some of which are marked.

The blocks are the tools, the blocks of the system prompt, and the blocks of the messages, in this order
(https://docs.claude.com/en/docs/build-with-claude/prompt-caching).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TOOLS: Final = "tools"
SYSTEM: Final = "system"
MESSAGES: Final = "messages"
SECTIONS: Final = (TOOLS, SYSTEM, MESSAGES)

MOST_MARKS: Final = 4
_TTL_SECONDS: Final = {"5m": 300, "1h": 3600}
_MARK: Final = "cache_control"
_PROMPT_SETTINGS: Final = ("thinking", "output_config")
_SECTION_SETTINGS: Final = {TOOLS: (), SYSTEM: ("speed",), MESSAGES: ("tool_choice",)}
"""Fields outside the blocks that are part of the prefix from the start of a section on.

The documentation says that thinking and effort (`output_config`) belong to the messages, and for some models, which it
does not name, to the whole prompt. Here they belong to the whole prompt, so that a saving is never overstated.
"""

_CHARACTERS_PER_TOKEN: Final = 2.5
"""A million tokens are 2.5 million characters: https://platform.claude.com/docs/en/about-claude/models/overview."""


class InvalidRequest(ValueError):
    """The provider would refuse the request with status 400."""


@dataclass(frozen=True)
class Block:
    """One block of a request, with everything before it."""

    section: str
    kind: str
    """The block's type, such as `text` or `tool_result`."""
    digest: bytes
    """A hash of the prefix that ends with this block. Marks are not part of it."""
    tokens: int
    """The tokens of the prefix that ends with this block."""
    ttl_seconds: int
    """For how long the prefix that ends with this block is cached; 0 if the block has no mark."""


def count_tokens(text: str) -> float:
    """Estimate the tokens of a text. The provider's tokenizer is not public."""
    return len(text) / _CHARACTERS_PER_TOKEN


def blocks_of(
    body: Mapping[str, Any], model: str = "", count: Callable[[str], float] = count_tokens
) -> tuple[Block, ...]:
    """Return the blocks of a request.

    Args:
        body: The request's body.
        model: The model, if the body does not name it.
        count: Returns the tokens of a text.

    Raises:
        InvalidRequest: The marks break a rule of the provider.
    """
    prefix = hashlib.sha256(_text([body.get("model", model), *(body.get(name) for name in _PROMPT_SETTINGS)]).encode())
    tokens, blocks, section = 0.0, [], ""
    for block_section, role, block in _raw_blocks(body):
        if block_section != section:
            section = block_section
            prefix.update(_text([section, *_settings(body, section)]).encode())
        content = text_of(block)
        tokens += count(content)
        prefix.update(_text([role, content]).encode())
        blocks.append(
            Block(section, str(block.get("type", "tool")), prefix.digest(), round(tokens), _ttl_seconds(block))
        )
    return _checked(_with_automatic_mark(blocks, body))


def text_of(block: Mapping[str, Any]) -> str:
    """Return a block's JSON text, without its mark, in the order in which the client wrote its fields."""
    return _text({name: value for name, value in block.items() if name != _MARK})


def section_text(body: Mapping[str, Any], section: str) -> str:
    """Return the JSON text of one section of a request, without marks."""
    return "".join(text_of(block) for block_section, _, block in _raw_blocks(body) if block_section == section)


def _raw_blocks(body: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield each block's section, role and content. A string counts as one text block."""
    for tool in body.get(TOOLS) or ():
        yield TOOLS, "", tool
    for block in _content(body.get(SYSTEM) or ()):
        yield SYSTEM, "", block
    for message in body.get(MESSAGES) or ():
        for block in _content(message["content"]):
            yield MESSAGES, message["role"], block


def _content(content: str | Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _settings(body: Mapping[str, Any], section: str) -> list[object]:
    settings = [body.get(name) for name in _SECTION_SETTINGS[section]]
    return [*settings, '"type":"image"' in section_text(body, MESSAGES)] if section == MESSAGES else settings


def _ttl_seconds(block: Mapping[str, Any]) -> int:
    mark = block.get(_MARK)
    if not mark:
        return 0
    if not _may_be_marked(str(block.get("type", "tool")), is_empty=block.get("text") == ""):
        raise InvalidRequest(f"cache_control cannot be set for this block: {text_of(block)[:80]}")
    if mark.get("type") != "ephemeral" or mark.get("ttl", "5m") not in _TTL_SECONDS:
        raise InvalidRequest(f"cache_control: unknown value {mark}")
    return _TTL_SECONDS[mark.get("ttl", "5m")]


def _may_be_marked(kind: str, *, is_empty: bool = False) -> bool:
    return kind not in {"thinking", "redacted_thinking"} and not is_empty


def _with_automatic_mark(blocks: Sequence[Block], body: Mapping[str, Any]) -> Sequence[Block]:
    """Return the blocks with the mark that a `cache_control` of the whole request puts on the last possible block."""
    if not body.get(_MARK):
        return blocks
    ttl_seconds = _ttl_seconds({_MARK: body[_MARK]})
    raw_blocks = [block for _, _, block in _raw_blocks(body)]
    for index in reversed(range(len(blocks))):
        if _may_be_marked(blocks[index].kind, is_empty=raw_blocks[index].get("text") == ""):
            if blocks[index].ttl_seconds not in {0, ttl_seconds}:
                raise InvalidRequest("cache_control: the last block has a mark with another ttl")
            marked = Block(**{**vars(blocks[index]), "ttl_seconds": ttl_seconds})
            return [*blocks[:index], marked, *blocks[index + 1 :]]
    return blocks


def _checked(blocks: Sequence[Block]) -> tuple[Block, ...]:
    ttls = [block.ttl_seconds for block in blocks if block.ttl_seconds]
    if len(ttls) > MOST_MARKS:
        raise InvalidRequest(f"A maximum of {MOST_MARKS} blocks with cache_control may be provided. Found {len(ttls)}.")
    if ttls != sorted(ttls, reverse=True):
        raise InvalidRequest("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block")
    return tuple(blocks)

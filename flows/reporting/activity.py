"""The agent's events told as they come, a line a step, so that a person can follow. Pure, but for what it remembers.

A step is told when it is over, with what came of it; what the agent is at meanwhile is in `doing`. However long a run
is its lines are few: of the first hundred steps each is told, then every second, every fourth, and so on, and a line
says how many were left out before it. At DEBUG they are all there, with what went in and came out.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flows.agent.events import Event, blocks
from flows.reporting.tool_calls import Fields, one_line, outcome, short, use

_TOLD_EACH: Final = 100
_TOLD_A_STRIDE: Final = 30
_SLOW_SECONDS: Final = 10
_UNDER_WAY: Final = 1000
"""Uses of tools that are remembered until their results come."""

_DETAIL_SHOWN: Final = 2000


@dataclass(frozen=True)
class Line:
    """A line for the log, and its level there."""

    text: str
    level: int = logging.INFO


@dataclass(frozen=True)
class _Use:
    name: str
    given: Fields
    words: str
    at: float


@dataclass
class Narrator:
    """Tells one agent's events.

    Args:
        prefixes: Beginnings of paths that a reader can do without.
        in_detail: Whether to yield lines for DEBUG as well.
    """

    prefixes: Sequence[str] = ()
    in_detail: bool = False
    doing: str = "starts"
    """What the agent is at."""
    _under_way: dict[str, _Use] = field(default_factory=dict)
    _told: int = 0
    _left_out: int = 0
    _last: str = ""

    def tell(self, event: Event, now: float) -> Iterator[Line]:
        """Yield the lines of an event that came at `now`, in seconds of any clock."""
        try:
            lines = list(self._tell(event, now))
        except RecursionError:  # what is nested deeper than Python writes down
            lines = list(self._paced("goes on"))
        yield from lines

    def _tell(self, event: Event, now: float) -> Iterator[Line]:
        for text, detail in self._steps(event, now):
            yield from self._paced(self._plain(text))
            if detail and self.in_detail:
                yield Line(self._plain(detail), logging.DEBUG)
        if event.get("type") == "result":
            yield from self._end(event)

    def _steps(self, event: Event, now: float) -> Iterator[tuple[str, str]]:
        if event.get("type") == "system":
            yield from _of_system(event)
        elif event.get("type") in ("assistant", "user"):
            who = "a subagent " if event.get("parent_tool_use_id") else ""
            for block in blocks(event):
                for text, detail in self._of_block(block, event, now):
                    yield f"{who}{text}", detail

    def _of_block(self, block: Fields, event: Event, now: float) -> Iterator[tuple[str, str]]:
        match block.get("type"):
            case "text" if block.get("text"):
                self.doing = "writes"
                yield f"says: {short(block['text'])}", str(block["text"])
            case "thinking" if self._last != "thinks":
                self.doing = "thinks"
                yield "thinks", ""
            case "tool_use":
                self._begin(block, now)
            case "tool_result":
                yield from self._finish(block, event, now)

    def _begin(self, block: Fields, now: float) -> None:
        given, name = block.get("input"), str(block.get("name"))
        fields = given if isinstance(given, dict) else {}
        words = use(name, fields)
        self.doing = self._plain(words)
        if len(self._under_way) >= _UNDER_WAY:
            del self._under_way[next(iter(self._under_way))]
        self._under_way[str(block.get("id"))] = _Use(name, fields, words, now)

    def _finish(self, block: Fields, event: Event, now: float) -> Iterator[tuple[str, str]]:
        used = self._under_way.pop(str(block.get("tool_use_id")), None) or _Use("", {}, "goes on", now)
        self.doing = "waits for the model"
        seconds = f" ({now - used.at:.0f} s)" if now - used.at >= _SLOW_SECONDS else ""
        came = outcome(used.name, used.given, block, event.get("tool_use_result"))
        content = block.get("content")
        said = content if isinstance(content, str) else _json(content)
        detail = f"{_json(used.given)} → {said}" if self.in_detail else ""
        yield f"{used.words}{came}{seconds}", detail

    def _paced(self, text: str) -> Iterator[Line]:
        """Yield the line, or leave it out, where there have been many."""
        self._last = text
        stride = 2 ** max(0, (self._told - _TOLD_EACH) // _TOLD_A_STRIDE + 1)
        if self._told >= _TOLD_EACH and self._left_out + 1 < stride:
            self._left_out += 1
            yield from [Line(text, logging.DEBUG)] if self.in_detail else []
            return
        before = f"({self._left_out:,} steps left out) " if self._left_out else ""
        self._told, self._left_out = self._told + 1, 0
        yield Line(f"{before}{text}")

    def _end(self, event: Event) -> Iterator[Line]:
        for used in self._under_way.values():
            yield Line(self._plain(f"{used.words} → no result"), logging.DEBUG)
        self._under_way.clear()
        if self._left_out:
            yield Line(f"({self._left_out:,} steps left out: the transcript has them)")
        wrong = f": {short(event.get('subtype'))}" if event.get("subtype") != "success" else ""
        yield Line(one_line(f"ends after {short(event.get('num_turns'))} turns{wrong}"))
        self.doing = "is done"

    def _plain(self, text: str) -> str:
        for prefix in self.prefixes:
            text = text.replace(prefix, "")
        return short(text, _DETAIL_SHOWN)


def _of_system(event: Event) -> Iterator[tuple[str, str]]:
    match event.get("subtype"):
        case "init":
            yield f"starts: model {event.get('model')}, Claude Code {event.get('claude_code_version')}", ""
        case "api_retry":
            answer = event.get("error_status") or event.get("error")
            yield (
                f"waits: {_REASONS.get(str(answer), f'the model answered {answer}')}, attempt {event.get('attempt')}",
                "",
            )
        case "compact_boundary":
            yield "sums up the conversation so far, to go on with less of it", ""


_REASONS: Final = {"529": "the model is overloaded", "429": "the model throttles", "503": "the model is overloaded"}


def _json(given: Any) -> str:  # noqa: ANN401 (JSON)
    try:
        return json.dumps(given, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "…"

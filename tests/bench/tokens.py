"""Row 12: the tokens of a run, as the provider would count them. The figures are the same in each measurement."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.measures import Measure, at_most
from tests.support.prompt_blocks import SECTIONS, SYSTEM, TOOLS, section_text
from tests.support.prompt_cache import CountedRequest
from tests.support.provider_bill import bill_usd

ROW: Final = 12
_FIXED_GOAL: Final = 0.55
_UNCACHED_GOAL: Final = 0.05

FEATURES: Final[Mapping[str, Mapping[str, Any]]] = {
    "`policy.allow_secrets_in`": {"policy": {"allow_secrets_in": ["tests/*"]}},
    "`limits.max_turns`": {"limits": {"max_turns": 50}},
}
"""Optional features and the parameters that switch them on. Each gets a line in the table, with its characters."""


@dataclass(frozen=True)
class Recording:
    """What one run sent to the model."""

    requests: Sequence[CountedRequest]
    instructions: str = ""
    """The text of the instructions, which does not count as fixed."""
    metered_usd: float = 0
    """The cost by this project's own count."""

    @property
    def first(self) -> CountedRequest:
        """The first request of the conversation. Claude Code's other requests offer no tools."""
        return next(request for request in self.requests if request.body.get(TOOLS))

    def characters(self) -> dict[str, int]:
        """Return the characters of each section of the first request, without the instructions' text."""
        counts = {section: len(section_text(self.first.body, section)) for section in SECTIONS}
        escaped = json.dumps(self.instructions, ensure_ascii=False)[1:-1]
        counts["messages"] -= section_text(self.first.body, "messages").count(escaped) * len(escaped)
        return counts


@dataclass(frozen=True)
class Recordings:
    """All runs of the row."""

    plain: Recording
    """Plain `claude -p`."""
    ours: Recording
    other_repository: Recording
    """The next run, of another repository, with other instructions. This repository has instructions for agents."""
    resumed: Recording
    """The second attempt of a run of twelve turns, on another machine."""
    followed_up: Recording
    """A follow-up of a run of twelve turns, on another machine."""
    features: Mapping[str, Recording]


def measures(recordings: Recordings) -> Iterator[Measure]:
    """Return the lines of the table."""
    plain, ours = recordings.plain.characters(), recordings.ours.characters()
    yield at_most(
        ROW, "fixed part of the first request", sum(ours.values()) / sum(plain.values()), _FIXED_GOAL, "plain",
        f"characters: plain {_sections(plain)}, ours {_sections(ours)}",
    )  # fmt: skip
    yield _shared_part(recordings.other_repository)
    yield _uncached_part("resumed run", recordings.resumed)
    yield _uncached_part("follow-up", recordings.followed_up)
    yield _cost([recordings.ours, recordings.other_repository])
    for name, recording in recordings.features.items():
        more = {section: count - ours[section] for section, count in recording.characters().items()}
        yield Measure(
            ROW, f"with {name}", f"{sum(more.values()):+,} characters", "no figure", met=True, sides=_sections(more)
        )


def _shared_part(recording: Recording) -> Measure:
    fixed_tokens = recording.first.tokens_of(TOOLS, SYSTEM)
    share = min(recording.first.read, fixed_tokens) / fixed_tokens
    detail = f"{recording.first.read:,} tokens read, {fixed_tokens:,} of tools and system"
    return Measure(ROW, "tools and system from cache, other repository", f"{share:.0%}", "100%", share == 1, detail)


def _uncached_part(kind: str, recording: Recording) -> Measure:
    first = recording.first
    share = 1 - first.read / first.tokens
    detail = f"{first.tokens - first.read:,} of {first.tokens:,} tokens"
    return Measure(
        ROW, f"uncached share of a {kind}'s first request", f"{share:.1%}", f"≤ {_UNCACHED_GOAL:.0%}",
        share <= _UNCACHED_GOAL, detail,
    )  # fmt: skip


def _cost(recordings: Sequence[Recording]) -> Measure:
    metered = sum(recording.metered_usd for recording in recordings)
    billed = sum(bill_usd(recording.requests) for recording in recordings)
    is_equal = math.isclose(metered, billed, rel_tol=1e-9)
    return Measure(ROW, "cost of two runs by the meter", f"${metered:.6f}", f"${billed:.6f}, the bill", is_equal)


def _sections(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values()):,} ({', '.join(f'{section} {count:,}' for section, count in counts.items())})"

"""The page: one HTML file that needs no network, runs no script but its own, and does not grow without bound."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from flows.agent.transcript import events
from flows.reporting.transcript.entries import Entry, Section, clean, entries
from flows.text_safety import visible

_HERE: Final = Path(__file__).parent
_BUDGET_CHARACTERS: Final = 10_000_000
"""Characters of all texts together: a browser opens a page of that size at once."""

_SECTION_CHARACTERS: Final = (50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200)
"""Characters of one text: the largest of these that keeps the page within its budget applies."""

_NAMES: Final = {
    "begins": "Claude Code",
    "told": "Told",
    "says": "Claude",
    "thinks": "Thinks",
    "calls": "A tool",
    "waits": "Waits",
    "ends": "Ends",
}
_ENTRIES_MAX: Final = 50_000
_LONG_LINES: Final = 16
_LONG_CHARACTERS: Final = 1600


@dataclass
class Totals:
    """The figures at the head of the page, counted before it is written."""

    entries: int = 0
    calls: int = 0
    failed: int = 0
    first: str = ""
    last: str = ""
    lengths: list[int] = field(default_factory=list)

    def count(self, entry: Entry) -> None:
        """Add an entry."""
        self.entries += 1
        self.calls += entry.kind == "calls"
        self.failed += entry.has_failed
        self.first, self.last = self.first or entry.at, entry.at or self.last
        self.lengths += [len(section.text) for section in entry.sections]

    def longest(self) -> int:
        """Return how many characters of one text the page has room for."""
        within = (most for most in _SECTION_CHARACTERS if sum(min(n, most) for n in self.lengths) <= _BUDGET_CHARACTERS)
        return next(within, _SECTION_CHARACTERS[-1])


def page(transcript: Path, title: str, facts: Mapping[str, str], instructions: str = "") -> bytes:
    """Return the page of a transcript, redacted.

    Args:
        transcript: The agent's event stream, one JSON object a line.
        title: What the run was about.
        facts: What else to say at the head, by name.
        instructions: The text that the agent was told to work on.
    """
    text = [Section("text", clean(instructions))]
    first = [Entry("told", "Instructions", sections=text)] if instructions else []
    totals = Totals()
    for entry in chain(first, entries(events(transcript))):
        totals.count(entry)
    longest = totals.longest()
    shown = (_shortened(entry, longest) for entry in chain(first, entries(events(transcript))))
    style, script = _read("page.css"), _read("page.js")
    stream = _template().stream(
        title=clean(title),
        facts={name: clean(fact) for name, fact in facts.items()},
        totals=totals,
        seconds=_seconds(totals),
        names=_NAMES,
        entries=islice(shown, _ENTRIES_MAX),
        left_out=max(0, totals.entries - _ENTRIES_MAX),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    stream.enable_buffering(100)
    written = BytesIO()
    stream.dump(written, encoding="utf-8", errors="replace")
    return written.getvalue()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(clock=_clock, is_long=_is_long)
    return environment.get_template("page.html")


def _shortened(entry: Entry, longest: int) -> Entry:
    for section in entry.sections:
        section.cut = max(0, len(section.text) - longest)
        section.text = section.text[:longest]
    return entry


def _read(name: str) -> Markup:
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704 (a file of this package)


def _hash(content: str) -> str:
    """Return what the Content-Security-Policy calls an element's content."""
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _clock(at: str) -> str:
    return visible(at[11:19]) if len(at) > len("2026-01-01T00:00:00") else ""


def _is_long(section: Section) -> bool:
    return len(section.text) > _LONG_CHARACTERS or section.text.count("\n") >= _LONG_LINES


def _seconds(totals: Totals) -> float:
    try:
        return (datetime.fromisoformat(totals.last) - datetime.fromisoformat(totals.first)).total_seconds()
    except (ValueError, TypeError):
        return 0.0

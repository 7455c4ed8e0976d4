"""Renders a transcript as one HTML file of limited size, which needs no network and runs no script except its own."""

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
"""The maximum number of characters in all texts of a page together, so that a browser opens the page without delay."""

_SECTION_LIMITS: Final = (50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200)
"""Possible maximum lengths of one text, in characters. The largest one that keeps the page within its budget
applies."""

_NAMES: Final = {
    "begins": "Claude Code",
    "input": "Input",
    "says": "Claude",
    "thinks": "Thinking",
    "calls": "Tool",
    "waits": "Waiting",
    "ends": "End",
}
"""The heading of each kind of entry; a tool call has the tool's name instead."""

_ENTRIES_MAX: Final = 50_000


@dataclass
class Totals:
    """The figures at the top of the page. They are counted before the page is written."""

    entries: int = 0
    calls: int = 0
    failed: int = 0
    first: str = ""
    """The timestamp of the first entry that has one."""
    last: str = ""
    lengths: list[int] = field(default_factory=list)

    def count(self, entry: Entry) -> None:
        """Add an entry to the figures."""
        self.entries += 1
        self.calls += entry.kind == "calls"
        self.failed += entry.has_failed
        self.first, self.last = self.first or entry.timestamp, entry.timestamp or self.last
        self.lengths += [len(section.text) for section in entry.sections]

    def section_limit(self) -> int:
        """Return the maximum length of one text, in characters, with which the page stays within its budget."""
        fitting = (n for n in _SECTION_LIMITS if sum(min(length, n) for length in self.lengths) <= _BUDGET_CHARACTERS)
        return next(fitting, _SECTION_LIMITS[-1])

    @property
    def seconds(self) -> float:
        """The time from the first entry to the last; 0 if a timestamp is missing or malformed."""
        try:
            return (datetime.fromisoformat(self.last) - datetime.fromisoformat(self.first)).total_seconds()
        except (ValueError, TypeError):
            return 0.0


def render_page(transcript: Path, title: str, facts: Mapping[str, str], instructions: str = "") -> bytes:
    """Return the redacted page of a transcript, in UTF-8.

    Args:
        transcript: The file with the agent's event stream, one JSON object per line.
        title: The title of the page, which names the run's task.
        facts: Further facts to show at the top of the page, by name.
        instructions: The instructions that the agent received; the page begins with them.
    """
    text = [Section("text", clean(instructions))]
    first = [Entry("input", "Instructions", sections=text)] if instructions else []
    totals = Totals()
    for entry in chain(first, entries(events(transcript))):
        totals.count(entry)
    limit = totals.section_limit()
    shortened = (entry.shortened(limit) for entry in chain(first, entries(events(transcript))))
    style, script = _read("page.css"), _read("page.js")
    stream = _template().stream(
        title=clean(title),
        facts={name: clean(fact) for name, fact in facts.items()},
        totals=totals,
        names=_NAMES,
        entries=islice(shortened, _ENTRIES_MAX),
        left_out=max(0, totals.entries - _ENTRIES_MAX),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    stream.enable_buffering(100)
    output = BytesIO()
    stream.dump(output, encoding="utf-8", errors="replace")
    return output.getvalue()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clock"] = _clock
    return environment.get_template("page.html")


def _read(name: str) -> Markup:
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704 (a file of this package)


def _hash(content: str) -> str:
    """Return the hash by which the Content-Security-Policy allows an element's content."""
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _clock(timestamp: str) -> str:
    return visible(timestamp[11:19]) if len(timestamp) > len("2026-01-01T00:00:00") else ""

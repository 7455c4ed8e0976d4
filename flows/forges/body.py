"""Writes the title and the body of a pull request: why, what was asked, what was checked, the cost, and what to do.

The body is the same on all forges, so it is short enough for the one with the lowest limit. The agent's words are
quoted and disarmed. What this program found out is never mixed with what the agent says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flows.forges.disarm import cut_line, disarm, disarm_line
from flows.text_safety import one_line, sanitize

TITLE_CHARACTERS: Final = 70
UNVERIFIED: Final = "[unverified] "
BODY_CHARACTERS: Final = 3_700
"""With the marks around it, such a body fits into the 4,000 characters that Azure DevOps accepts."""

_SUMMARY_CHARACTERS: Final = 900
_ASKED_CHARACTERS: Final = 300
_READ_CHARACTERS: Final = 20_000
"""What is read of a long text, of which the body only has the beginning."""
_LINE_CHARACTERS: Final = 160
_COMMAND_CHARACTERS: Final = 800
_SHORT_SECONDS: Final = 10
_MAX_ITEMS: Final = 8
_STEPS: Final = 20


@dataclass(frozen=True)
class CommandCheck:
    """One command that the run executed on the finished change, after the agent had ended."""

    command: str
    verdict: str
    """A word or two, such as `passed`."""
    exit_status: int | None
    seconds: float


@dataclass(frozen=True)
class BodyContent:
    """What a pull request tells its reviewer. Any text may be untrusted; addresses must be trusted."""

    summary: str
    """The agent's own words."""
    asked_source: str
    """Where the instructions are, such as an S3 URI with its version; empty if they were given as text."""
    run_id: str
    asked_text: str = ""
    """The instructions; empty if they must not be shown in the repository."""
    reference: str = ""
    """The trusted line that names or closes the issue which the run was started from, such as `Fixes #12`."""
    feedback: Sequence[str] = ()
    """What the operator told the agent later."""
    verdict: str = ""
    """What the checks say about the change as a whole, such as `verified after 1 repair`."""
    is_draft_by_verdict: bool = False
    """Whether the run asked for a draft because of the verdict."""
    checks: Sequence[CommandCheck] = ()
    unchecked_reason: str = "nothing was run, because the run has no verify commands"
    """What the body says if `checks` is empty."""
    warnings: Sequence[str] = ()
    """What a reviewer should look at, such as a change of the checks."""
    questions: Sequence[str] = ()
    """What the agent asks."""
    not_done: Sequence[str] = ()
    """What the agent says that it left out."""
    cost: str = ""
    """One line: dollars, turns, model and version."""
    run_url: str = ""
    next_command: str = ""
    """The command that starts a run which follows up on the review."""


def pull_request_title(text: str, *, is_unverified: bool = False) -> str:
    """Return a title: the first line of the text that is not empty, disarmed, with at most 70 characters.

    Args:
        text: The text, of which only one line is used.
        is_unverified: Whether the title says that no verification passed. This is for a forge that takes no drafts.
    """
    mark = UNVERIFIED if is_unverified else ""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return mark + (disarm_line(line.lstrip("# "), TITLE_CHARACTERS - len(mark)) or "Implement the instructions")


def pull_request_body(content: BodyContent) -> str:
    """Return the body, with at most `BODY_CHARACTERS` characters. Its parts get shorter until all have room."""
    for step in range(_STEPS):
        body = "\n\n".join(_Writer(content, 1 - step / _STEPS).parts())
        if units(body) <= BODY_CHARACTERS:
            break
    return body


def units(text: str) -> int:
    """Return the length of a text in UTF-16, as JavaScript and .NET count it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@dataclass(frozen=True)
class _Writer:
    content: BodyContent
    scale: float
    """The part of its usual length that each text and each list has."""

    def parts(self) -> Iterator[str]:
        content = self.content
        summary = self._cut(disarm(content.summary[:_READ_CHARACTERS]).strip(), _SUMMARY_CHARACTERS)
        yield "\n".join(f"> {line}".rstrip() for line in summary.split("\n")) if summary else "The agent said nothing."
        yield f"**Asked:** {self._code(content.asked_source)}" if content.asked_source else "**Asked:**"
        if instructions := disarm(content.asked_text[:_READ_CHARACTERS]).strip().replace("```", "'''"):
            yield f"```text\n{self._cut(instructions, _ASKED_CHARACTERS)}\n```"
        if content.reference:
            yield content.reference
        yield from self._list("Asked later", content.feedback)
        yield from self._checked()
        yield from self._list("Look at", content.warnings)
        yield from self._list("The agent asks", content.questions)
        yield from self._list("Not done, as the agent says", content.not_done)
        if content.cost:
            yield f"**Cost:** {self._line(content.cost)}"
        yield f"**Run:** {self._run()}"
        yield from self._next_run()

    def _next_run(self) -> Iterator[str]:
        """Yield how to ask for changes. A command that would have to be cut is left out, because it would not work."""
        command = one_line(self.content.next_command)
        if not command:
            return
        text = "**Ask for changes:** comment, and start a run of follow_up, which answers people who may push"
        is_whole = units(command) <= _COMMAND_CHARACTERS and "`" not in command
        yield f"{text}: {self._code(command, _COMMAND_CHARACTERS)}" if is_whole else f"{text}."

    def _checked(self) -> Iterator[str]:
        content = self.content
        draft = ", so the run asked for a draft" if content.is_draft_by_verdict else ""
        if not content.checks:
            yield f"**Checked:** {self._line(content.unchecked_reason)}{draft}"
            return
        if content.verdict:
            yield f"**Verification:** {self._line(content.verdict)}{draft}"
        yield "**Checked** by the run, after the agent had ended:"
        yield self._items([f"{self._code(check.command)}: {self._verdict(check)}" for check in content.checks])

    def _verdict(self, check: CommandCheck) -> str:
        status = "" if check.exit_status is None else f", exit status {check.exit_status}"
        seconds = f"{check.seconds:.1f}" if check.seconds < _SHORT_SECONDS else f"{check.seconds:.0f}"
        return f"{self._line(check.verdict)}{status}, {seconds} s"

    def _run(self) -> str:
        link = f"[flow run](<{self.content.run_url}>), " if self.content.run_url else ""
        return f"{link}{self._code(self.content.run_id)}"

    def _list(self, title: str, items: Sequence[str]) -> Iterator[str]:
        if items:
            yield f"**{title}:**"
            yield self._items([self._line(item) for item in items])

    def _items(self, lines: Sequence[str]) -> str:
        """Return a list of the first lines; the last item says how many are missing."""
        first = lines[: max(1, int(_MAX_ITEMS * self.scale))]
        rest = len(lines) - len(first)
        return "\n".join(f"- {line}" for line in (*first, *([f"{rest} more: see the report"] if rest else [])))

    def _line(self, text: str) -> str:
        return disarm_line(text, max(10, int(_LINE_CHARACTERS * self.scale)))

    def _code(self, text: str, limit: int = _LINE_CHARACTERS) -> str:
        """Return the text as inline code. No forge looks for references there, and a person can copy it."""
        line = cut_line(one_line(sanitize(text)), limit).replace("`", "'")
        return f"`{line}`"

    def _cut(self, text: str, limit: int) -> str:
        limit = int(limit * self.scale)
        return text if len(text) <= limit else f"{text[:limit].rstrip()} …"

"""Makes untrusted text safe to post on a forge, where text is more than text.

On a forge, text can notify people, close issues, run commands of bots, show images, and set what the continuous
integration does. A forge reads it twice: as Markdown, and as it was written, for the message of a squashed commit. So
the text is changed in a way that holds for both: an invisible character is put inside whatever a forge could recognise.
A reader sees the text as it was.
"""

import re
import unicodedata
from typing import Final

from flows.text_safety import one_line, sanitize, without_zero_width

JOINER: Final = "\u2060"
"""WORD JOINER: invisible, no white space, and part of no name, reference or directive."""

_WIDE: Final = re.compile(r"[\uff01-\uff5e\ufe50-\ufe6f]")
"""Wide and small forms of ASCII characters, which some programs read as ASCII."""

_SKIPPED: Final = "actions|azurepipelines|build|buildkite|checks?|ci|circleci|deploy|netlify|pipelines?|release|travis"
_CLOSING: Final = "clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?|reopen(?:s|ed|ing)?"
_CONVENTIONAL: Final = "build|chore|ci|docs|feat|fix|perf|refactor|revert|style|test"

_CONTAINERS: Final = r"(?:[ \t>*+-]|[0-9]{1,9}[.)])*"
"""The beginning of a line in quotations and lists."""

_BREAKS: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        # An escape and an entity, by which Markdown shows another text than was written.
        r"\\(?=[!-/:-@\[-`{-~])",
        r"&(?=#?\w)",
        # Tags, links, images, definitions, tasks, and directives such as [skip ci].
        r"<(?=[a-z/!?])",
        r"\[(?=.)",
        r"\](?=[(:\[])",
        r"!(?=\[)",
        # Addresses, which become links without brackets.
        r"(?<=[a-z0-9+.-]):(?=//)",
        r"\bwww(?=\.)",
        r"\bmail(?=to:)",
        r"\bxm(?=pp:)",
        # Mentions and references, also those of GitLab, with what stands before a number or a name.
        r"@(?=\S)",
        r"#(?=[^\s#])",
        r"[!$&](?=\d)",
        r"[%~](?=[\w\"])",
        r"\bG[HL]-(?=\d)",
        r"\*(?=iteration:)",
        # A command on a line of its own, also in a quotation or a list: what starts with a slash.
        rf"^{_CONTAINERS}/(?=\S)",
        # A keyword that closes an issue.
        rf"\b(?:{_CLOSING})(?=:?\s+(?:(?:issues?|bugs?|tickets?|pull|merge|requests?|prs?|mrs?)[ \t]+)*\S*\d)",
        # A trailer of a commit message. The type of a conventional commit looks the same, and is wanted.
        rf"^(?!(?:{_CONVENTIONAL}):)[ \t]*[a-z][a-z0-9-]*[ \t]?(?=:(?:\s|$))",
        r"^[ \t>*|+-]*BREAKING(?=[ -]CHANGE)",
        rf"\b(?:skip|no)(?=[-_ ]*(?:{_SKIPPED})\b)",
        r"\+(?=semver)",
        # A block of a diagram or a video on Azure DevOps, and an included file on GitLab.
        rf"^{_CONTAINERS}:(?=::|:include)",
        # The language of a code block, such as a diagram with links, or a suggested change.
        rf"^{_CONTAINERS}(?:`{{3,}}|~{{3,}})[ \t]*(?=[\w{{])",
    )
)
"""What is broken by an invisible character after each match."""

_COMMAND: Final = re.compile(r"^[ \t]*(?=/)", re.MULTILINE)


def disarm(text: str) -> str:
    """Return the text for a body or a reply on any forge: redacted, and with nothing in it that a forge acts on."""
    plain = unicodedata.normalize("NFC", without_zero_width(text))
    plain = sanitize(_WIDE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), plain))
    for pattern in (*_BREAKS, _COMMAND):
        plain = pattern.sub(_break, plain)
    return plain


def _break(match: re.Match[str]) -> str:
    return f"{match[0]}{JOINER}"


def disarm_line(text: str, limit: int) -> str:
    """Return the text for a title or a status: disarmed, on one line, and not longer than `limit` characters."""
    return cut_line(disarm(one_line(text)), limit)


def cut_line(line: str, limit: int) -> str:
    """Return the line, or its beginning and an ellipsis if it is longer than `limit` characters."""
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"

"""Compares the results of a change with those of the base commit, on which a command may fail as well.

Such a command must not fail more than there. By the JUnit files, each failed test failed there, too, and no fewer tests
ran. Without such files, or with fewer tests, each line of the output was there, too. Durations, addresses, dates,
positions in files and paths of temporary files do not count there, and a number of failures may be smaller.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flows.text_safety import sanitize
from flows.verification.results import CommandResult, Verdict

_IGNORED: Final = (
    (re.compile(r"(\.\w{1,6}):\d+(?::\d+)?\b|(\bline )\d+"), r"\1\2<position>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<address>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"(?:/private)?/(?:var/)?tmp/[\w./+@-]*|/var/folders/[\w./+@-]*"), "<path>"),
    (re.compile(r"(?<!\S)\S*/agent/tmp/[\w./+@-]*"), "<path>"),
    (re.compile(r"\b\d+(?:[.,]\d+){0,3}(?:\s?(?:ns|[uµ]s|ms|s|secs?|seconds?|mins?|minutes?)|m)\b"), "<duration>"),
    (re.compile(r"\b(?:pid|PID|seed|Seed)[ =:]+\d+"), "<number>"),
    (re.compile(r"([=\-_*#.~])\1{3,}"), "<rule>"),
)  # fmt: skip
"""What differs from one run of a command to the next, and the text that stands for it."""

_HARMLESS: Final = re.compile(
    r"[,;]?\s*\b\d+\s+(?:tests?\s+)?(?:passed|passing|pass|ok|skipped|warnings?|deselected|xfailed|xpassed|total)\b",
    re.IGNORECASE,
)
"""A number that may be any other."""

_FAULTS: Final = re.compile(
    r"\b(\d+)(?=\s+(?:tests?\s+)?(?:failed|failures?|failing|fail|errors?|errored|broken|problems?)\b)"
    r"|(?<=failures=)(\d+)|(?<=errors=)(\d+)|(?<=failed=)(\d+)|(?<=failures: )(\d+)|(?<=errors: )(\d+)",
    re.IGNORECASE,
)
"""A number of failures, which may be smaller."""

_MAX_BYTES: Final = 2**20
_MAX_LINES: Final = 50_000
_HASH_CHARACTERS: Final = 10
_LINE_CHARACTERS: Final = 1_000
"""How much of a line is searched for what may differ. All of it is compared."""


class Lines:
    """Takes the whole output of a command, of which results keep only the end."""

    def __init__(self) -> None:
        self._output = bytearray()

    def write(self, data: bytes) -> None:
        """Take a part of the output."""
        if len(self._output) <= _MAX_BYTES:
            self._output += data

    @property
    def hashes(self) -> tuple[str, ...] | None:
        """A hash of each different line, without what differs from one run to the next; None for too long an output."""
        if len(self._output) > _MAX_BYTES:
            return None
        lines = {
            _FAULTS.sub("<count>", line) for line in _normalized(sanitize(self._output.decode("utf-8", "replace")))
        }
        hashes = (hashlib.sha256(line.encode()).hexdigest()[:_HASH_CHARACTERS] for line in lines)
        return tuple(sorted(hashes)) if len(lines) <= _MAX_LINES else None


def compare(
    results: Sequence[CommandResult], baseline: Sequence[CommandResult]
) -> tuple[tuple[CommandResult, ...], tuple[CommandResult, ...]]:
    """Compare the results on the change with those on the base commit.

    Args:
        results: The results on the change.
        baseline: The results of the same commands on the base commit, in the same order; empty if there are none.

    Returns:
        The results, where `FAILED_BEFORE` is the verdict of a command that failed before and fails no more now; and
        those that make the verification fail.
    """
    judged = tuple(map(_judged, results, baseline)) if baseline else tuple(results)
    harmless = {Verdict.PASSED, Verdict.FAILED_BEFORE}
    return judged, tuple(result for result in judged if result.verdict not in harmless)


def _judged(result: CommandResult, before: CommandResult) -> CommandResult:
    if result.verdict is Verdict.PASSED or result.verdict is not before.verdict:
        return result
    return replace(result, verdict=Verdict.FAILED_BEFORE) if _fails_no_more(result, before) else result


def _fails_no_more(result: CommandResult, before: CommandResult) -> bool:
    new, old = result.tests, before.tests
    # Without a failed test, something else made the command fail, of which its output may tell.
    if new and old and new.failed and old.failed and new.failed_names:
        is_part = new.failed <= old.failed and set(new.failed_names) <= set(old.failed_names)
        # A program that crashed after some tests has no results of the others.
        is_whole = new.tests - new.skipped >= old.tests - old.skipped or _prints_no_more(result, before)
        return is_part and is_whole and _ends_no_worse(result, before, has_fewer=new.failed < old.failed)
    return result.exit_status == before.exit_status and _prints_no_more(result, before)


def _ends_no_worse(result: CommandResult, before: CommandResult, *, has_fewer: bool) -> bool:
    """Whether the exit statuses are equal. That of some programs is the number of failures, so it may be smaller."""
    new, old = result.exit_status, before.exit_status
    return new == old or (has_fewer and new is not None and old is not None and 0 < new < old)


def _prints_no_more(result: CommandResult, before: CommandResult) -> bool:
    if result.lines is None or before.lines is None:
        return False
    return set(result.lines) <= set(before.lines) and _has_no_new_line(result.output, before.output)


def _has_no_new_line(output: str, before: str) -> bool:
    """Whether the base commit's output has each line, and ends with the same line.

    A command that breaks off early may print no new line, but it ends with another one.
    """
    new, old = _normalized(output), _normalized(before)
    if not new or not old:
        return not new and not old
    return _counts_no_more(new[-1], old[-1]) and all(
        line in old or any(_counts_no_more(line, other) for other in old) for line in new
    )


def _normalized(output: str) -> list[str]:
    """Return the lines, without what differs from one run to the next, and without lines that have nothing else."""
    lines = []
    for whole in output.split("\n"):
        line, rest = " ".join(whole[:_LINE_CHARACTERS].split()), whole[_LINE_CHARACTERS:]
        for pattern, text in _IGNORED:
            line = pattern.sub(text, line)
        if text := " ".join((_HARMLESS.sub("", line) + rest).split()):
            lines.append(text)
    return lines


def _counts_no_more(line: str, other: str) -> bool:
    """Whether two lines differ at most in numbers of failures, which are not larger in the first line."""
    if line == other:
        return True
    if _FAULTS.sub("<count>", line) != _FAULTS.sub("<count>", other):
        return False
    return all(new <= old for new, old in zip(_faults(line), _faults(other), strict=True))


def _faults(line: str) -> list[int]:
    return [int(match[0]) for match in _FAULTS.finditer(line)]

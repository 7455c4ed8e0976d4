"""Compares the results of a change with those of the base commit, on which a command may fail as well.

Such a command must not fail more than there. By the JUnit files, each failed test failed there, too, and no fewer tests
ran. Without such files, or with fewer tests, each line of the output was there, too, or says that something passes.
What differs from one run to the next does not count: see `output_lines`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flows.text_safety import sanitize
from flows.verification.output_lines import PASSING, counts_no_more, normalized, without_counts
from flows.verification.results import CommandResult, Verdict

_MAX_BYTES: Final = 2**20
_MAX_LINES: Final = 50_000
_HASH_CHARACTERS: Final = 10


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
        """A hash of each different line, except lines that only say that something passes; None if there are too many.

        The lines are without what differs from one run to the next.
        """
        if len(self._output) > _MAX_BYTES:
            return None
        output = normalized(sanitize(self._output.decode("utf-8", "replace")))
        lines = {without_counts(line) for line in output if line != PASSING}
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
    """Whether the base commit's output has each line that does not say that something passes, and the same last line.

    A command that breaks off early may print no new line, but it ends with another one.
    """
    new, old = normalized(output), normalized(before)
    if not new:
        return not old
    is_same_end = new[-1] == PASSING or (bool(old) and counts_no_more(new[-1], old[-1]))
    return is_same_end and all(line == PASSING or _has_line(old, line) for line in new)


def _has_line(lines: Sequence[str], line: str) -> bool:
    return line in lines or any(counts_no_more(line, other) for other in lines)

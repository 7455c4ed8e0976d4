"""Defines the result of a verification: one verdict for each command, and the status of the change."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """How a verify command ended."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    NOT_FOUND = "not found"
    """The shell did not find the command (exit status 127)."""
    OUT_OF_MEMORY = "out of memory"
    OUT_OF_DISK = "out of disk"
    FAILED_BEFORE = "failed before"
    """The command fails on the base commit as well, and fails no more tests with the change than without it."""


ENVIRONMENTAL: Final = frozenset({Verdict.TIMED_OUT, Verdict.OUT_OF_MEMORY, Verdict.OUT_OF_DISK})
"""The verdicts that the machine or a limit may have caused, and not the change."""


class Status(StrEnum):
    """What a verification says about a change."""

    NOT_ASKED = "not verified"
    """The run had no verify commands."""
    NOT_RUN = "not verified, commands did not run"
    """The verify commands have not run on this tree."""
    VERIFIED = "verified"
    CHECKS_CHANGED = "verified, checks changed"
    """All commands passed, and the change touches what defines them."""
    FAILED_BEFORE = "not verified, failed before"
    """No command failed because of the change, but at least one failed on the base commit already."""
    FAILED = "verification failed"


UNMATCHED: Final = "No verify command wrote a file that matches a pattern of junit:"
"""The beginning of a sentence, for people, about such patterns."""


@dataclass(frozen=True)
class TestCounts:
    """The numbers of tests in the JUnit files that a command wrote."""

    __test__ = False  # pytest must not collect this class

    tests: int
    failed: int
    """How many tests failed, or ended with an error."""
    skipped: int
    failed_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommandResult:
    """How one verify command ended."""

    command: str
    verdict: Verdict
    exit_status: int | None
    """The exit status; a negative signal number if a signal ended the command; None if it timed out."""
    seconds: float
    output: str = ""
    """The end of the output, redacted and cleaned of control characters."""
    tests: TestCounts | None = None
    """None if the command wrote no JUnit file."""
    lines: tuple[str, ...] | None = ()
    """A hash of each different line of the whole output, for comparisons; None if there are too many lines."""
    unmatched_junit: tuple[str, ...] = ()
    """The patterns of JUnit files that no file matches which the command wrote."""

    @property
    def reason(self) -> str:
        """What made the command fail, apart from its output; empty if it passed or if that is not known."""
        if self.verdict is Verdict.TIMED_OUT:
            return "limits.command_timeout_seconds"
        if self.exit_status == 0 and self.verdict is not Verdict.PASSED and self.tests:
            count = self.tests.failed
            return f"exit status 0, but its JUnit files have {count} failed test{'s' if count > 1 else ''}"
        return f"exit status {self.exit_status}" if self.exit_status else ""


@dataclass(frozen=True)
class Verification:
    """The result of the verify commands for one tree."""

    tree: str
    """The id of the tree that the commands ran on."""
    results: tuple[CommandResult, ...] = ()
    setup_fault: str = ""
    """Why the tree could not be prepared, so that no command ran; empty if it was prepared."""
    baseline: tuple[CommandResult, ...] = ()
    """The results on the base commit; empty if they were not needed or not available."""
    baseline_fault: str = ""
    """Why the commands could not run on the base commit; empty if they ran or were not needed."""
    changed_checks: tuple[str, ...] = ()
    """Lines for people: the parts of the change that may weaken a check."""
    failures: tuple[CommandResult, ...] = field(default=())
    """The results that make the verification fail."""

    @property
    def may_pass_again(self) -> bool:
        """Whether the same commands may have another result on the same tree, as the machine made them fail.

        The setup often fails because of the network.
        """
        return bool(self.setup_fault) or any(failure.verdict in ENVIRONMENTAL for failure in self.failures)

    @property
    def status(self) -> Status:
        """What the results say about the change."""
        if self.setup_fault or self.failures:
            return Status.FAILED
        if any(result.verdict is Verdict.FAILED_BEFORE for result in self.results):
            return Status.FAILED_BEFORE
        return Status.CHECKS_CHANGED if self.changed_checks else Status.VERIFIED

    @property
    def unmatched_junit(self) -> tuple[str, ...]:
        """The patterns of JUnit files that no file matches which one of the commands wrote."""
        patterns = self.results[0].unmatched_junit if self.results else ()
        return tuple(each for each in patterns if all(each in result.unmatched_junit for result in self.results))

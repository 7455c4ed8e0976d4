"""Defines the outcome and the result of a run. The flow returns the result; `--json` and the run's event show it."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from flows import errors
from flows.errors import Blocked, BudgetExceeded, NeedsInput
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.verification import VerificationResult
from flows.verification.results import Status

COMPLETED: Final = 0
FAILED: Final = 1
INVALID: Final = 2
SIGNALLED: Final = 128
"""If a signal ended the run, the exit status is this number plus the signal's number, as in a shell."""


class Outcome(StrEnum):
    """How a run ended. The outcome determines the flow run's state name, tag and event, and the exit status."""

    DELIVERED = "delivered"
    NOT_VERIFIED = "not-verified"
    """The commit is on the remote, but not all of the verify commands passed."""
    NO_CHANGES = "no-changes"
    ANSWERED = "answered"
    """The reviewers have answers, and no file had to be changed."""
    NEEDS_INPUT = "needs-input"
    """The agent has questions. Its work so far is saved, and is not pushed."""
    BLOCKED = "blocked"
    """Something prevents the agent's work. Its work so far is saved, and is not pushed."""
    BUDGET_EXCEEDED = "budget-exceeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """The run was stopped from outside: it was cancelled or suspended, or its machine was shutting down."""
    INVALID = "invalid"
    """The run was refused because of its parameters, before anything was started."""

    @classmethod
    def of_error(cls, error: object) -> "Outcome":
        """Return the outcome of a run that raised this error."""
        if isinstance(error, BaseException) and not isinstance(error, Exception):
            return cls.INTERRUPTED
        return next((outcome for kind, outcome in _OF_ERRORS.items() if isinstance(error, kind)), cls.FAILED)

    @classmethod
    def of_commit(cls, commit: str, status: Status | None = None, answers: int = 0) -> "Outcome":
        """Return the outcome of a run that completed.

        Args:
            commit: The commit that was delivered; empty if there was nothing to change.
            status: What its verification says; None if that is not known.
            answers: How many threads of a review the run has answered.
        """
        if not commit:
            return cls.ANSWERED if answers else cls.NO_CHANGES
        return cls.NOT_VERIFIED if status in _NOT_VERIFIED else cls.DELIVERED

    @property
    def is_delivered(self) -> bool:
        """Whether the run completed and its commit is on the remote."""
        return self in {Outcome.DELIVERED, Outcome.NOT_VERIFIED}

    @property
    def state_name(self) -> str:
        """The name of the flow run's final state on the Prefect server."""
        return _STATE_NAMES.get(self, "Failed")

    @property
    def tag(self) -> str:
        """The tag that the flow run gets on the Prefect server."""
        return f"outcome:{self}"

    @property
    def event(self) -> str:
        """The name of the event that the run sends to the Prefect server."""
        return f"claude-code.run.{self}"

    @property
    def exit_status(self) -> int:
        """The exit status of `python -m flows`. For an interrupted run, the caller adds the signal's number."""
        return _EXIT_STATUSES.get(self, FAILED)


_OF_ERRORS: Final[dict[type[Exception], Outcome]] = {
    BudgetExceeded: Outcome.BUDGET_EXCEEDED,
    NeedsInput: Outcome.NEEDS_INPUT,
    Blocked: Outcome.BLOCKED,
}
_NOT_VERIFIED: Final = {Status.FAILED_BEFORE, Status.FAILED, Status.NOT_RUN}
_STATE_NAMES: Final = {
    Outcome.DELIVERED: "Completed",
    Outcome.NOT_VERIFIED: "NotVerified",
    Outcome.NO_CHANGES: "NoChanges",
    Outcome.ANSWERED: "Completed",
}
_EXIT_STATUSES: Final = {
    Outcome.DELIVERED: COMPLETED,
    Outcome.NOT_VERIFIED: COMPLETED,
    Outcome.NO_CHANGES: COMPLETED,
    Outcome.ANSWERED: COMPLETED,
    Outcome.INVALID: INVALID,
    Outcome.INTERRUPTED: SIGNALLED,
}


@dataclass(frozen=True)
class Failure:
    """The error of a failed run."""

    name: str
    message: str


def last_words(failure: Failure) -> str:
    """Return the last lines on standard error: the last of them has the error's name, and says what to do."""
    sentences, _, output = failure.message.partition("\n")
    if output and getattr(errors, failure.name, errors.RunError).ends_with_output:
        return f"{output}\n{failure.name}: {sentences}"
    return f"{failure.name}: {failure.message}"


@dataclass(frozen=True)
class RunResult:
    """The result of a run. A field is empty if its value is not known or does not apply."""

    outcome: Outcome
    flow_run_id: str = ""
    repo_url: str = ""
    branch: str = ""
    commit: str = ""
    applied_to: str = ""
    """The newer commit that `deliver` applied the change to; empty if the change stayed on its base."""
    files: tuple[str, ...] = ()
    cost_usd: float | None = None
    turns: int | None = None
    cache_read_tokens: int | None = None
    """How many of the input tokens came from the provider's prompt cache."""
    cache_saved_usd: float | None = None
    """How many US dollars the prompt cache saved; negative if writing to it cost more than that."""
    title: str = ""
    """What the change does, on one line, in the agent's words."""
    summary: str = ""
    """The agent's last message, redacted."""
    questions: tuple[str, ...] = ()
    """What the agent asks; an answer continues the run."""
    not_done: tuple[str, ...] = ()
    """The requirements that the agent left undone, in its words."""
    verification: VerificationResult | None = None
    """What the verify commands say about the change; None without a change."""
    pull_request: PullRequestResult | None = None
    """What became of the pull request; None if the run asked for none, or pushed nothing."""
    answers: int = 0
    """How many threads of a review the run has answered."""
    unheard: tuple[str, ...] = ()
    """A line for each comment on a pull request that the run did not hear: who, where and why."""
    saved_in: str = ""
    """The folder of the run store that holds the run's report, transcript and change."""
    error: Failure | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)

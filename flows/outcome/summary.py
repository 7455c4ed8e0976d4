"""Defines the summary of a run, from which its report is built. The earlier a run failed, the fewer fields are set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flows.errors import VerificationFailed
from flows.forges import table as forges
from flows.forges.base import Links, PushedCommit
from flows.instructions.files import Instructions
from flows.outcome.pull_request import PullRequestResult, clause
from flows.outcome.result import Failure, Outcome, RunResult
from flows.outcome.review import ReviewSummary
from flows.outcome.timing import StepTime
from flows.outcome.verification import VerificationResult, result_text
from flows.parameters.addresses import RepoUrl
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.limits import Limits
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.state.agent_report import AgentReport
from flows.state.verifications import Round
from flows.text_safety import sanitize
from flows.verification.results import Status, Verification

_NAMES_MAX: Final = 5
_NOT_DONE_CHARACTERS: Final = 500


@dataclass(frozen=True)
class RunSummary:
    """The facts about a run that its report shows."""

    flow_run_id: str
    change_run_id: str = ""
    """The id of the run that made the change: of this one, or of the one whose change this one delivers."""
    deployment: str = ""
    """The name of the run's deployment, without the flow's name; empty if the run has no deployment."""
    repo_url: RepoUrl | None = None
    forge: str = ""
    """The kind of the git host; empty to recognise it by its name."""
    next_parameters: Mapping[str, object] = field(default_factory=dict)
    """What a further run on the branch needs, besides the repository and the branch."""
    model: str = ""
    checkout: Checkout | None = None
    instructions: Instructions | None = None
    feedback: tuple[str, ...] = ()
    """What the operator told the agent later."""
    change: Change | None = None
    patch: str = ""
    agent: AgentReport | None = None
    steps: tuple[StepTime, ...] = ()
    saved_files: Mapping[str, str] = field(default_factory=dict)
    """The location of each of the run's saved files, by the name of the file."""
    policy: ChangePolicy = field(default_factory=ChangePolicy)
    limits: Limits = field(default_factory=Limits)
    setup: str = ""
    """Where the setup command of the run came from, and what became of its cache; empty if the run had none."""
    services: str = ""
    """The names of the services of the run."""
    status: Status | None = None
    """The status of the change; None without a change, or if the work on it has not ended."""
    verification: Verification | None = None
    """The verification of the change; None if its commit was not verified."""
    rounds: tuple[Round, ...] = ()
    """All verifications of the run."""
    verify_source: str = ""
    """Where the verify commands of the run come from; empty if the run has none."""
    max_repairs: int = 0
    pushes_failures: bool = False
    """Whether a change is pushed even if its verification failed."""
    pull_request: PullRequestResult | None = None
    """What became of the pull request; None if the run asked for none, or has not come to it."""
    review: ReviewSummary | None = None
    """What a run of follow_up heard and answered; None for other runs."""
    warnings: tuple[str, ...] = ()
    error: BaseException | None = None

    @property
    def outcome(self) -> Outcome:
        """How the run ended."""
        if self.error:
            return Outcome.of_error(self.error)
        return Outcome.of_commit(self.commit, self.status, self.review.answers if self.review else 0)

    @property
    def is_pushed(self) -> bool:
        """Whether the commit is on the remote."""
        # Such a run fails only after the push.
        fails_after_push = self.pushes_failures and isinstance(self.error, VerificationFailed)
        return self.outcome.is_delivered or fails_after_push

    @property
    def repairs(self) -> int:
        """How often the agent repaired the change."""
        return self.rounds[-1].number if self.rounds else 0

    @property
    def is_interrupted(self) -> bool:
        """Whether the run was stopped from outside."""
        return self.outcome is Outcome.INTERRUPTED

    @property
    def commit(self) -> str:
        """The id of the commit with the agent's work, whether pushed or not; empty if nothing was committed."""
        return self.change.commit if self.change else ""

    @property
    def branch(self) -> str:
        """The name of the branch that the run pushes to; empty if it is not known."""
        return self.checkout.branch if self.checkout else ""

    @property
    def links(self) -> Links:
        """The web addresses of the repository and, only if the commit was pushed, of the branch and the commit."""
        if self.repo_url is None:
            return Links("")
        if self.checkout is None or not self.is_pushed:
            return Links(forges.links(self.repo_url.url, PushedCommit("", ""), self.forge).repository)
        applied = self.change.checkout if self.change and self.change.applied_to else self.checkout
        starts_elsewhere = applied.start.is_branch and not applied.continues
        base = applied.base_branch if starts_elsewhere else ""
        return forges.links(self.repo_url.url, PushedCommit(self.checkout.branch, self.commit, base), self.forge)

    @property
    def _verification_result(self) -> VerificationResult | None:
        if self.status is None:
            return None
        return VerificationResult.of(self.status, self.verification, self.repairs, self.rounds, self.verify_source)

    @property
    def result(self) -> RunResult:
        """The part of the summary that the flow returns as its result."""
        return RunResult(
            outcome=self.outcome,
            flow_run_id=self.flow_run_id,
            repo_url=self.repo_url.url if self.repo_url else "",
            branch=self.branch,
            commit=self.commit,
            applied_to=self.change.applied_to if self.change else "",
            files=tuple(file.path for file in self.change.files) if self.change else (),
            cost_usd=self.agent.cost_usd if self.agent else None,
            turns=self.agent.turns if self.agent else None,
            cache_read_tokens=self.agent.cache.read_tokens if self.agent else None,
            cache_saved_usd=self.agent.cache.saved_usd if self.agent else None,
            title=sanitize(self.agent.title) if self.agent else "",
            summary=sanitize(self.agent.summary) if self.agent else "",
            questions=tuple(map(sanitize, self.agent.questions)) if self.agent else (),
            not_done=tuple(map(sanitize, self.agent.not_done)) if self.agent else (),
            verification=self._verification_result,
            pull_request=self.pull_request,
            answers=self.review.answers if self.review else 0,
            unheard=self.review.unheard if self.review else (),
            error=Failure(type(self.error).__name__, str(self.error)) if self.error else None,
        )


def title(summary: RunSummary) -> str:
    """Return the run's outcome in a few words."""
    if summary.is_interrupted:
        return "Interrupted"
    if summary.error:
        return f"Failed: {type(summary.error).__name__}"
    if summary.change and summary.change.already_on:
        return "Nothing to push"
    if summary.change is None or not summary.commit:
        return _title_without_change(summary.review, is_new=summary.agent is not None)
    count = len(summary.change.files)
    return f"Pushed {count} file{'s' if count != 1 else ''}"


def _title_without_change(review: ReviewSummary | None, *, is_new: bool) -> str:
    if review and review.answers:
        return f"Answered {review.answers} thread{'s' if review.answers != 1 else ''}"
    return "Nothing new" if review and not is_new else "Nothing to change"


def headline(summary: RunSummary) -> str:
    """Return the run's outcome on one line. Unless an error ended the run, the line also names the branch."""
    if summary.outcome.is_delivered:
        place = f"{summary.branch} as {summary.commit[:12]}{_applied(summary)}"
        ends = (
            _verified(summary),
            clause(summary.pull_request),
            _answered(summary),
            _denied(summary),
            _not_done(summary),
            _unheard(summary),
        )
        return f"{title(summary)} to {place}{''.join(ends)}"
    if summary.error:
        return title(summary)
    if summary.change and summary.change.already_on:
        return f"{title(summary)}: {summary.change.already_on} has this change already"
    return f"{title(summary)}: {summary.branch} was not pushed{_unheard(summary)}{_ignored_files(summary)}"


def _answered(summary: RunSummary) -> str:
    """Return a clause that says how many threads of the review have an answer, or "" if there is no thread."""
    return f", answered {summary.review.answered_text}" if summary.review and summary.review.threads else ""


def _unheard(summary: RunSummary) -> str:
    """Return a clause that says how many comments were not heard, or "" if all were."""
    return f"; {summary.review.unheard_text}" if summary.review and summary.review.unheard else ""


def _ignored_files(summary: RunSummary) -> str:
    """Return a sentence that names new files ignored by git, or "". If nothing else changed, they may be the result."""
    works = summary.change.left_aside if summary.change else ()
    paths = [path for work in works if work.is_ignored for path in work.paths]
    return f". New files that the repository ignores: {_names(paths)}" if paths else ""


def _applied(summary: RunSummary) -> str:
    """Return a clause that names the newer commit that the change was applied to, or "" if it stayed on its base."""
    change = summary.change
    return (
        f", applied to {change.checkout.base_branch} at {change.applied_to[:12]}"
        if change and change.applied_to
        else ""
    )


def _verified(summary: RunSummary) -> str:
    """Return a clause that says what the verification found, or "" if nothing was to be verified."""
    if summary.status is None or summary.status is Status.NOT_ASKED:
        return ""
    return f", {result_text(summary.status, summary.repairs)}"


def _denied(summary: RunSummary) -> str:
    """Return a clause that names the files that the agent was not permitted to write or read, or "" if none."""
    paths = summary.agent.denied_paths if summary.agent else ()
    return f", but the agent was denied access to {_names(paths)}" if paths else ""


def _not_done(summary: RunSummary) -> str:
    """Return a clause that quotes what the agent left undone, or "" if nothing."""
    requirements = summary.agent.not_done if summary.agent else ()
    return f"; the agent left undone: {_names(requirements, ' / ')[:_NOT_DONE_CHARACTERS]}" if requirements else ""


def _names(paths: Sequence[str], separator: str = ", ") -> str:
    more = f" and {len(paths) - _NAMES_MAX} more" if len(paths) > _NAMES_MAX else ""
    return f"{separator.join(paths[:_NAMES_MAX])}{more}"

"""Decides what a run's pull request says: its title, its text, its branches, and whether it is a draft."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from prefect.utilities.urls import url_for

from flows.checks.table import exceptions
from flows.errors import InvalidPullRequest
from flows.forges.api.base import PullRequestDraft
from flows.forges.body import UNVERIFIED, BodyContent, CommandCheck, pull_request_body, pull_request_title
from flows.forges.pull_request import RunRequest
from flows.instructions.files import Instructions, IssueSource
from flows.outcome.verification import result_text
from flows.parameters.pull_request import DRAFT
from flows.redaction import redact
from flows.reporting.commands import follow_up_command
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.commit_files import CommitFiles
from flows.repository.git_commands import run_git
from flows.repository.remote_refs import RemoteRefs
from flows.run.rounds import status_of, verification_of
from flows.run.run import FollowUpRun, Run
from flows.run.summary import deployment_name
from flows.state.agent_report import AgentReport
from flows.text_safety import one_line, printable
from flows.verification.results import Status, Verdict

_TEMPLATES: Final = re.compile(
    r"((\.github|\.gitea|\.forgejo|\.azuredevops|docs)/)?(pull_request_template|pull-request-template)\.md"
    r"|\.gitlab/merge_request_templates/default\.md",
    re.IGNORECASE,
)
_TEMPLATE_BYTES: Final = 20_000
_FOLDERS: Final = (".github", ".gitlab/merge_request_templates", ".gitea", ".forgejo", ".azuredevops", "docs")
_UNPROVEN: Final = {Status.FAILED, Status.FAILED_BEFORE, Status.NOT_RUN, Status.CHECKS_CHANGED}
"""A change of one of these was to be verified, and a person has to look at it before anything else."""

_VERDICTS: Final = {Verdict.FAILED_BEFORE: "failed, as it did before the change"}
"""Verdicts that a reviewer, who does not know this program, would not understand."""

_AFTER_REVIEW: Final = "After a review:"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 (the names are compared, and not bound to)


def is_draft(parameter: str, status: Status | None) -> bool:
    """Whether the pull request is a draft: if the run asks for one, or if its verification does not speak for it."""
    return parameter == DRAFT or status in _UNPROVEN


def base_branch(run: Run, checkout: Checkout, refs: RemoteRefs) -> str:
    """Return the branch to merge into.

    It is the branch of the pull request that is followed up, which a person may have changed since. Otherwise it is the
    parameter, the branch that the work started from, or the remote's default branch.

    Raises:
        InvalidPullRequest: The remote does not have the branch of the parameter, or has no other branch at all.
    """
    if isinstance(run, FollowUpRun) and run.reviews and run.reviews[0].base in refs.branches:
        return run.reviews[0].base
    parameter = run.request.pull_request.pull_request_base
    if parameter == checkout.branch:
        raise InvalidPullRequest(
            f"pull_request.pull_request_base is {parameter!r}, which is also the branch to push: choose another branch "
            "to merge into, or another branch_name"
        )
    if parameter and parameter not in refs.branches:
        raise InvalidPullRequest(
            f"pull_request.pull_request_base is {parameter!r}, and the remote has no such branch: set it to a branch "
            "that exists"
        )
    start = checkout.base_branch if checkout.start.is_branch else ""
    default = refs.default_branch if refs.default_is_known else ""
    for name in (parameter, start, run.request.base_branch, default):
        if name in refs.branches and name != checkout.branch:
            return name
    raise InvalidPullRequest(
        f"there is no branch into which {checkout.branch!r} could be merged: set pull_request.pull_request_base, or "
        "another branch_name"
    )


def request_for(run: Run, change: Change, base: str, refs: RemoteRefs) -> RunRequest:
    """Return the pull request that the run wants to have."""
    status = status_of(run, change)
    draft = PullRequestDraft(
        title(run, change),
        redact(pull_request_body(_content(run, change))),
        change.checkout.branch,
        base,
        is_draft(run.request.pull_request.pull_request, status),
    )
    takes_any_base = not run.request.pull_request.pull_request_base
    return RunRequest(
        draft,
        run.saved.store.flow_run_id,
        change.commit,
        template(run, change, refs),
        takes_any_base,
        status is Status.VERIFIED,
    )


def without_draft(run_request: RunRequest, status: Status | None) -> RunRequest:
    """Return the request for a forge that accepts no drafts. Its title says if no verification speaks for it."""
    mark = "" if status is Status.VERIFIED else UNVERIFIED
    draft = replace(run_request.draft, title=f"{mark}{run_request.draft.title}", is_draft=False)
    return replace(run_request, draft=draft)


def title(run: Run, change: Change) -> str:
    """Return the title: the parameter, or else the agent's, or else the first line of the commit message.

    The parameter is taken as it is, because it is the operator's own text.
    """
    if parameter := run.request.pull_request.pull_request_title:
        return redact(parameter)
    report = _report(run)
    subject = run_git(["log", "-1", "--format=%s", change.commit], git_dir=run.workspace.clean_git).text.strip()
    return pull_request_title(redact(report.title if report and report.title else subject))


def template(run: Run, change: Change, refs: RemoteRefs) -> str:
    """Return the repository's template for pull requests, from the commit that the work started from.

    It counts only on the default branch, as on the forges. Another branch may be the work of an agent, whose text could
    mention people and contain commands.
    """
    checkout = change.checkout
    starts_from_default = checkout.start.is_branch and checkout.base_branch == refs.default_branch
    if checkout.continues or not starts_from_default:
        return ""
    clean = run.workspace.clean_git
    top = CommitFiles(clean, run_git(["ls-tree", "-z", "--full-tree", checkout.base_commit], git_dir=clean).stdout)
    files = [*(CommitFiles.of(clean, checkout.base_commit, folder) for folder in _FOLDERS), top]
    entries = [file for listing in files for file in listing.all() if file.is_regular]
    matching = [file for file in entries if _TEMPLATES.fullmatch(file.path)]
    for file in matching:
        if top.sizes([file])[file.blob] <= _TEMPLATE_BYTES:
            return printable(top.contents([file])[file.blob].decode("utf-8", "replace"))
    return ""


def resolves_issue(run: Run, change: Change) -> bool:
    """Whether the change does all that the run's issue asks for, so that the issue may be closed with its merge.

    The agent must say so, and no verification may deny it.
    """
    issue, report = _issue(run), _report(run)
    is_done = report is not None and report.is_complete and status_of(run, change) is not Status.FAILED
    return issue is not None and is_done and not issue.is_partly_done


def _issue(run: Run) -> IssueSource | None:
    return run.saved.plan.instructions.issue if run.saved.plan else None


def _reference(run: Run, change: Change) -> str:
    """Return the line that closes the run's issue when the pull request is merged, or else only names it."""
    issue = _issue(run)
    return f"{'Fixes' if resolves_issue(run, change) else 'Refs'} {issue.reference}" if issue else ""


def run_url(run: Run) -> str:
    """Return the address of the run's page; empty if there is none that others could open."""
    url = url_for("flow-run", obj_id=run.saved.store.flow_run_id) or ""
    return "" if (urlsplit(url).hostname or "") in _LOOPBACK else url


def _content(run: Run, change: Change) -> BodyContent:
    report, verification, status = _report(run), verification_of(run, change), status_of(run, change)
    rounds = run.saved.verifications.rounds
    content = BodyContent(
        redact(_summary(run, report)),
        "",
        run.saved.store.flow_run_id,
        feedback=[redact(one_line(text)) for text in run.feedback],
        verdict=result_text(status, rounds[-1].number if rounds else 0) if status else "",
        is_draft_by_verdict=status in _UNPROVEN and run.request.pull_request.pull_request != DRAFT,
        checks=[
            CommandCheck(
                redact(result.command),
                _VERDICTS.get(result.verdict, result.verdict),
                result.exit_status,
                result.seconds,
            )
            for result in (verification.results if verification else ())
        ],
        unchecked_reason=_unchecked_reason(run, change),
        warnings=[redact(warning) for warning in _warnings(run, change)],
        questions=[redact(question) for question in (report.questions if report else ())],
        not_done=[redact(requirement) for requirement in (report.not_done if report else ())],
        cost=_cost(report) if report else "",
        run_url=run_url(run),
        next_command=follow_up_command(deployment_name(), run.saved.store.flow_run_id),
    )
    if run.saved.plan is None:
        return content
    instructions = run.saved.plan.instructions
    if instructions.issue:  # its text is on its page, which not everybody may see who sees the pull request
        return replace(content, asked_source=instructions.issue.url, reference=_reference(run, change))
    return replace(content, asked_source=redact(_source(instructions)), asked_text=redact(instructions.main_text))


def _summary(run: Run, report: AgentReport | None) -> str:
    """Return the agent's words. After a review, those about the whole change come first."""
    words = report.summary if report else ""
    earlier = run.reviews[0].earlier_summary if isinstance(run, FollowUpRun) and run.reviews else ""
    return f"{earlier}\n\n{_AFTER_REVIEW}\n\n{words}" if earlier else words


def _source(instructions: Instructions) -> str:
    """Return where the instructions come from, with the version of the main file in S3; empty if they are text."""
    if not instructions.source.startswith("s3://"):
        return ""
    version = next((file.version_id for file in instructions.files if file.path == instructions.main), "")
    return f"{instructions.source} ({instructions.main}, version {version})" if version else instructions.source


def _unchecked_reason(run: Run, change: Change) -> str:
    verification = verification_of(run, change)
    if verification and verification.setup_fault:
        return "no command could run, because the setup failed"
    if status_of(run, change) is Status.NOT_RUN:
        return "nothing was run on this commit, although the run has verify commands"
    return BodyContent.unchecked_reason


def _warnings(run: Run, change: Change) -> Iterator[str]:
    """Yield what a reviewer has to know. The other warnings of a run are for its operator."""
    verification, report = verification_of(run, change), _report(run)
    if verification:
        yield from (f"the change touches the checks: {line}" for line in verification.changed_checks)
    if (issue := _issue(run)) and issue.is_by_stranger:
        yield f"the issue was opened by {issue.author}"
    yield from exceptions(run.workspace.clean_git, change, run.request.policy)
    notes = run.saved.finished.notes if run.saved.finished else ()
    yield from dict.fromkeys((*change.notes, *notes))
    if report and report.denied_paths:
        yield f"the agent was denied access to {', '.join(report.denied_paths)}"


def _cost(report: AgentReport) -> str:
    version = f"Claude Code {report.claude_code_version}" if report.claude_code_version else ""
    cost = f"{report.cost_usd:.2f} USD"  # a dollar sign before a number is a reference on GitLab
    return ", ".join(filter(None, (cost, f"{report.turns} turns", *report.model_usage, version)))


def _report(run: Run) -> AgentReport | None:
    return run.saved.finished.report if run.saved.finished else None

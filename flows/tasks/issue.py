"""Reads the issue that is the instructions of a run, and defines the step `issue`, which writes its one comment on it.

The comment is written after the pull request is open. A write may have happened although its answer was lost, so the
forge is asked first: a comment of the run is found by its key. Then it is recorded.
"""

import json
from datetime import datetime

from prefect import get_run_logger

from flows.errors import RunError, Superseded
from flows.forges.pages import ForgePage
from flows.forges.reviews.replies import ISSUE, Note, own_comment
from flows.forges.reviews.selection import Rules
from flows.forges.table import page_of
from flows.instructions.files import Instructions, IssueSource
from flows.instructions.issue import from_issue
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.forge_apis import open_issue_api, open_review_api
from flows.run.lease import check_lease
from flows.run.pull_request import resolves_issue
from flows.run.run import Run, requested_at
from flows.state.comment_secret import comment_secret
from flows.state.files import StateFile
from flows.tasks.secret import newest_credentials
from flows.tasks.task import step


def read_issue(run: Run, credentials: GitCredentials, page: ForgePage) -> Instructions:
    """Return the instructions that an issue holds; raise the errors of `from_issue` and `open_issue_api`."""
    logger, request = get_run_logger(), run.request
    with open_issue_api(request, credentials, page.repository) as api, open_review_api(run.request, credentials) as own:
        rules = Rules(
            datetime.fromisoformat(requested_at()),
            account=api.own_account(),
            reviewers_heard=frozenset(request.reviewers_heard),
        )
        own_page = page_of(request.repo_url.url)
        instructions = from_issue(run.workspace, api, page.number, own_page, rules, own.may_write)
    issue = instructions.issue
    assert issue is not None  # noqa: S101 (`from_issue` sets it)
    logger.info("issue %s, by %s; comments not heard: %d", issue.url, issue.author, len(issue.unheard))
    return instructions


def tell_issue(run: Run, credentials: GitCredentials, change: Change) -> None:
    """Write on the issue which pull request the run has opened. An error is part of the report, and ends nothing.

    Raises:
        Superseded: A later attempt of the run has taken over.
    """
    issue = run.saved.plan.instructions.issue if run.saved.plan else None
    url = next((result.url for result in run.pull_requests), "")
    if issue is None or not url:
        return
    try:
        comment_on_issue(run, credentials, change, issue, url)
    except Superseded:
        raise
    except RunError as error:
        text = (
            f"the issue {issue.url} has no comment about the pull request ({type(error).__name__}: {error.sentences}): "
            "correct that, and run deliver, which writes it"
        )
        get_run_logger().warning(text)
        run.warnings.append(text)


@step("issue")
def comment_on_issue(
    run: Run, credentials: GitCredentials, change: Change, issue: IssueSource, pull_request_url: str
) -> None:
    """Write the comment, unless this run has written it.

    Raises:
        IssueNotFound, ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ReviewApi`.
        RepositoryNotAllowed: The token must not be used for the issue's repository any more.
    """
    store = run.saved.store
    if store.read_sealed(StateFile.ISSUE):
        return
    with open_issue_api(run.request, newest_credentials(run, credentials), issue.repository) as api:
        check_lease(store)
        run_id, secret = store.flow_run_id, comment_secret(store)
        comment = own_comment([api.issue(issue.number).thread], run_id, ISSUE, api.own_account(), secret)
        if comment is None:
            check_lease(store)
            rest = "" if resolves_issue(run, change) else "\n\nIt does not do all that the issue asks for."
            note = Note("", run_id, secret, f"A pull request for this issue: {pull_request_url}{rest}")
            comment = api.comment_on_issue(issue.number, note)
    store.save_sealed(StateFile.ISSUE, json.dumps({"comment": comment.id}).encode())
    get_run_logger().info("the issue %s has a comment about the pull request", issue.url)

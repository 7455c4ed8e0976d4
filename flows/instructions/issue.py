"""Turns an issue into instructions: what it says as it was when the run was requested, and whose comments count."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from flows.errors import ForgePermissionMissing, InstructionsEmpty, InvalidIssue
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Issue, WriteAccess
from flows.forges.reviews.request import account_name, has_description, issue_instructions, unheard_lines
from flows.forges.reviews.selection import Rules, select_comments
from flows.instructions.files import Instructions, IssueSource, write_instructions
from flows.sandbox.workspace import Workspace

_ACCESS: Final = {
    WriteAccess.YES: "who may push to the repository",
    WriteAccess.NO: "who may not push to the repository",
    WriteAccess.UNKNOWN: "of whom the git host does not tell whether they may push",
}
_WITHOUT_TITLE: Final = (
    "the title of the issue is not among the instructions, because the issue was changed after the run was requested"
)


def from_issue(
    workspace: Workspace,
    api: ReviewApi,
    number: int,
    page: str,
    rules: Rules,
    may_write: Callable[[Author], WriteAccess],
) -> Instructions:
    """Write the instructions that an issue holds to a file, and return them.

    Args:
        workspace: Holds the file.
        api: The client of the issue's repository.
        number: The number of the issue.
        page: The address of the page of the run's repository.
        rules: Whose comments count, and when the run was requested.
        may_write: Returns whether an account may push to the run's repository.

    Raises:
        InvalidIssue: The issue is closed, or was edited after the run was requested.
        InstructionsEmpty: It has nothing but a title.
        InstructionsTooLarge: It is too long.
        IssueNotFound, ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ReviewApi`.
    """
    issue = check_issue(api.issue(number), rules)
    selection = select_comments([issue.thread], rules, may_write)
    if not has_description(issue) and not selection.heard:
        raise InstructionsEmpty(
            f"{issue.url} has no description, and no comment that counts: describe there what the agent should do"
        )
    omissions = [issue.omission]
    if issue.title_edited > rules.requested_at:
        issue = replace(issue, title="")
        omissions.append(_WITHOUT_TITLE)
    access = _access(issue.text.author, rules, may_write)
    author = f"{account_name(issue.text.author)}, {_ACCESS[access]}"
    text = issue_instructions(issue, api.repository.page, author, selection.heard)
    source = IssueSource(
        api.repository.page,
        number,
        issue.url,
        api.reference(number, page),
        author,
        access is WriteAccess.NO,
        tuple(unheard_lines(selection.unheard)),
        "; ".join(filter(None, omissions)),
    )
    return replace(write_instructions(workspace, issue.url, f"issue-{number}.md", text), issue=source)


def check_issue(issue: Issue, rules: Rules) -> Issue:
    """Return the issue if it can be the instructions; raise `InvalidIssue` if it is closed, or was edited too late."""
    if not issue.is_open:
        raise InvalidIssue(f"{issue.url} is closed: reopen it, or give an issue that is open")
    if issue.text.edited > rules.requested_at:
        edited, requested = (each.isoformat(timespec="seconds") for each in (issue.text.edited, rules.requested_at))
        raise InvalidIssue(
            f"{issue.url} was edited at {edited}, after the run was requested at {requested}, so it may not say what "
            "you have read: read it again, and start a new run"
        )
    return issue


def _access(author: Author, rules: Rules, may_write: Callable[[Author], WriteAccess]) -> WriteAccess:
    """Return whether the author may push, which the report says. The run takes the text in any case."""
    if author.id and author.id in rules.reviewers_heard:
        return WriteAccess.YES
    try:
        return may_write(author)
    except ForgePermissionMissing:
        return WriteAccess.UNKNOWN

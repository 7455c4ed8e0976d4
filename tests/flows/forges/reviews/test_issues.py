"""An issue is read with all its comments, and a run writes one comment on it."""

from datetime import timedelta

import pytest

from flows.errors import ForgeUnavailable, IssueNotFound, PullRequestRefused
from flows.forges.reviews.replies import ISSUE, Note, own_comment
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.gitlab import GitLabStandIn
from tests.support.forges.review_state import SECRET, START, StoredIssue
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
RUN = "11111111-2222-4333-8444-555555555555"


@each_forge
def test_an_issue_is_read_with_all_pages_of_its_comments(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "Add a page <é>", "Why\n\n1. so & so", edited=3))
        for number in range(5):
            forge.reviews.say("grace", f"comment {number} <b>", number, number=12, is_on_issue=True)
        forge.reviews.say("grace", "on the pull request", number=1)
        issue = api.issue(12)
        assert (issue.number, issue.title, issue.is_open) == (12, "Add a page <é>", True)
        assert issue.text.text == ("Why\n1. so & so" if kind is AzureStandIn else "Why\n\n1. so & so")
        assert issue.text.author.id == str(forge.reviews.account_id("ada"))
        assert [each.text for each in issue.comments] == [f"comment {number} <b>" for number in range(5)]
        assert issue.comments[0].author.id == str(forge.reviews.account_id("grace"))
        assert issue.text.edited - (START + timedelta(minutes=3)) < timedelta(seconds=1)
        assert (issue.omission, issue.thread.comments) == ("", issue.comments)
        forge.reviews.issues[0].is_open = False
        assert not api.issue(12).is_open


@each_forge
def test_the_page_of_an_issue_never_comes_from_an_answer(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b"))
        url = api.issue(12).url
        path = {
            "gitlab": "/gitlab/acme/sub/widgets/-/issues/12",
            "azure": "/acme/My%20Project/_workitems/edit/12",
        }.get(kind.name, "/acme/widgets/issues/12")
        assert url == f"{forge.url}{path}"


@pytest.mark.parametrize("kind", [STAND_INS[0], STAND_INS[1], STAND_INS[3]], ids=lambda kind: kind.name)
def test_a_comment_is_no_edit_of_an_issue_where_the_forge_tells(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b", changed=30))
        assert api.issue(12).text.edited == START


@pytest.mark.parametrize("kind", [GiteaStandIn, AzureStandIn], ids=lambda kind: kind.name)
def test_the_last_change_counts_as_an_edit_where_the_forge_does_not_tell(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b", changed=30))
        assert api.issue(12).text.edited >= START + timedelta(minutes=30)


def test_an_edit_that_was_not_read_counts_on_gitlab() -> None:
    with serve_reviews(GitLabStandIn, max_items=2) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b", edited=20, changed=30))
        for number in range(4):
            forge.reviews.say("ada", f"{number}", number, number=12, is_on_issue=True)
        issue = api.issue(12)
        assert issue.omission
        assert issue.text.edited == START + timedelta(minutes=30)


@each_forge
def test_of_a_long_issue_the_newest_comments_are_read_so_our_own_is_found(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind, max_items=5) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b"))
        for number in range(12):
            forge.reviews.say("stranger", f"{number}", number=12, is_on_issue=True)
        api.comment_on_issue(12, Note("", "run", SECRET, "A pull request"))
        issue = api.issue(12)
        assert own_comment([issue.thread], "run", ISSUE, api.own_account(), SECRET) == issue.comments[-1]
        assert [each.text for each in issue.comments[:-1]] == ["8", "9", "10", "11"]
        assert "the newest 5 comments" in issue.omission


@each_forge
def test_an_issue_that_does_not_exist_is_named(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (_, api), pytest.raises(IssueNotFound, match="issue 12"):
        api.issue(12)


@each_forge
def test_issues_that_are_switched_off_are_named(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b"))
        forge.reviews.has_issues = False
        with pytest.raises(IssueNotFound, match="switched on"):
            api.issue(12)


@each_forge
def test_a_comment_on_an_issue_that_is_gone_is_named(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.faults.append(Fault("POST", Reply(410, {"message": "Gone"})))
        with pytest.raises(IssueNotFound):
            api.comment_on_issue(12, Note("a", RUN, SECRET))


@pytest.mark.parametrize("kind", [GitHubStandIn, GiteaStandIn], ids=lambda kind: kind.name)
def test_a_pull_request_is_no_issue(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (_, api), pytest.raises(IssueNotFound, match="is a pull request"):
        api.issue(1)


def test_an_issue_that_moved_is_not_followed() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        moved = Reply(
            301, {"message": "Moved Permanently"}, {"location": "https://elsewhere.example/repos/o/r/issues/3"}
        )
        forge.faults.append(Fault("GET .*/issues/12", moved))
        with pytest.raises(PullRequestRefused, match=r"elsewhere\.example/repos/o/r/issues/3"):
            api.issue(12)


@each_forge
def test_the_comment_of_a_run_is_found_after_a_lost_answer(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b"))
        forge.reviews.say("ada", "please <3", number=12, is_on_issue=True)
        forge.faults.append(Fault("POST .*(comments|notes)"))
        with pytest.raises(ForgeUnavailable):
            api.comment_on_issue(12, Note("See <it> & more", RUN, SECRET))
        issue = api.issue(12)
        own = own_comment([issue.thread], RUN, ISSUE, api.own_account(), SECRET)
        assert own
        assert "& more" in own.text
        assert own_comment([issue.thread], "another", ISSUE, api.own_account(), SECRET) is None
        assert len(forge.reviews.own_comments) == 1
        written = api.comment_on_issue(12, Note("again", RUN, SECRET))
        assert written.id != own.id


def test_hidden_comments_on_an_issue_are_left_out() -> None:
    with serve_reviews(GitLabStandIn) as (forge, api):
        forge.reviews.issues.append(StoredIssue(12, "a", "b"))
        forge.reviews.say("ada", "internal", number=12, is_on_issue=True, hidden="internal")
        forge.reviews.say("ada", "mentioned in", number=12, is_on_issue=True, hidden="system")
        assert api.issue(12).comments == ()

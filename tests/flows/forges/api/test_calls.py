"""Each call does on every forge what its name says, in requests that keep the forge's contract."""

import pytest

from flows.forges.api.base import CommitState, CommitStatus, PullRequest, PullRequestDraft, Refusal, State
from tests.support.forges.azure import ADA, AzureStandIn
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.fixtures import serve
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.gitlab import GitLabStandIn
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS

DRAFT = PullRequestDraft("Add a page", "Why: é\n\n1. so", "work", "main")
SHA = "c0ffee" * 6 + "c0ff"
each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
REVIEWERS = {"github": "ada", "gitlab": "ada", "gitea": "ada", "bitbucket": "{ada}", "azure": ADA}
REVIEWERS_SHOWN = {**REVIEWERS, "gitlab": "11"}


@each_forge
@pytest.mark.parametrize("is_draft", [True, False])
def test_a_pull_request_is_opened_and_found_again(kind: type[ForgeStandIn], *, is_draft: bool) -> None:
    with serve(kind) as (forge, api):
        assert api.find("work", "main") == []
        new = api.create(PullRequestDraft(DRAFT.title, DRAFT.body, "work", "main", is_draft))
        assert isinstance(new, PullRequest)
        assert (new.title, new.body, new.head, new.base) == (DRAFT.title, DRAFT.body, "work", "main")
        assert (new.number, new.state, new.is_draft) == (1, State.OPEN, is_draft)
        assert forge.pull_requests[0].is_draft is is_draft
        assert api.find("work", "main") == [new] == [api.get(1)]
        assert api.find("main", "work") == []


@each_forge
def test_the_page_of_a_pull_request_never_comes_from_an_answer(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        new = api.create(DRAFT)
        assert isinstance(new, PullRequest)
        assert new.url.startswith(forge.repo_url.removesuffix(".git"))
        assert new.url.endswith("/1")


@each_forge
def test_an_update_replaces_title_and_body_and_a_draft_stays_one(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        new = api.create(PullRequestDraft("a", "b", "work", "main", is_draft=True))
        assert isinstance(new, PullRequest)
        updated = api.update(new, "c", "d\ne")
        assert (updated.number, updated.title, updated.body.replace("\r", ""), updated.is_draft) == (
            1,
            "c",
            "d\ne",
            True,
        )
        assert forge.pull_requests[0].is_draft


@each_forge
@pytest.mark.parametrize("state", ["closed", "merged"])
def test_a_request_that_is_not_open_is_found_with_its_state(kind: type[ForgeStandIn], state: str) -> None:
    with serve(kind) as (forge, api):
        forge.add("old", "body", "work", "main").state = state
        assert [each.state for each in api.find("work", "main")] == [State(state)]
        assert isinstance(api.create(DRAFT), PullRequest)
        assert api.find("work", "main")[0].number == 2


@each_forge
def test_a_request_from_a_fork_with_the_same_branch_is_not_ours(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        forge.add("a stranger's", "", "work", "main").is_of_fork = True
        assert api.find("work", "main") == []


@each_forge
def test_labels_and_reviewers_are_added(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        api.create(DRAFT)
        refusal = api.add_labels(1, ["bot", "enhancement"])
        if kind is BitbucketStandIn:
            assert refusal == "Bitbucket has no labels for pull requests"
        else:
            assert (refusal, forge.pull_requests[0].labels) == ("", ["bot", "enhancement"])
        assert api.add_reviewers(1, [REVIEWERS[kind.name]]) == ""
        assert forge.pull_requests[0].reviewers == [REVIEWERS_SHOWN[kind.name]]
        assert (api.add_labels(1, []), api.add_reviewers(1, [])) == ("", "")


@each_forge
def test_a_reviewer_that_the_forge_does_not_know_is_a_text_and_no_error(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        api.create(DRAFT)
        assert "nobody" in api.add_reviewers(1, ["nobody"])
        assert forge.pull_requests[0].reviewers == []


@each_forge
def test_a_reviewer_that_the_forge_does_not_know_keeps_no_other_from_being_asked(kind: type[ForgeStandIn]) -> None:
    unknown = {"bitbucket": "{nobody}", "azure": ADA.replace("0a", "0b")}.get(kind.name, "nobody")
    with serve(kind) as (forge, api):
        api.create(DRAFT)
        refusal = api.add_reviewers(1, [unknown, REVIEWERS[kind.name], f"{unknown[:-1]}x{unknown[-1:]}"])
        assert refusal
        assert set(forge.pull_requests[0].reviewers) == {REVIEWERS_SHOWN[kind.name]}


def test_known_reviewers_and_labels_are_added_beside_unknown_ones() -> None:
    with serve(GitLabStandIn) as (forge, api):
        api.create(DRAFT)
        assert api.add_reviewers(1, ["nobody", "grace"]) == "no user has the name nobody"
        assert forge.pull_requests[0].reviewers == ["12"]
    with serve(GiteaStandIn) as (forge, api):
        api.create(DRAFT)
        assert api.add_labels(1, ["unknown", "bot"]) == "the repository has no label unknown"
        assert forge.pull_requests[0].labels == ["bot"]


def test_an_update_on_bitbucket_keeps_the_reviewers() -> None:
    with serve(BitbucketStandIn) as (forge, api):
        new = api.create(DRAFT)
        assert isinstance(new, PullRequest)
        api.add_reviewers(1, ["{ada}"])
        api.add_reviewers(1, ["{grace}", "{ada}"])
        api.update(new, "c", "d")
        assert forge.pull_requests[0].reviewers == ["{ada}", "{grace}"]
        assert (forge.pull_requests[0].title, forge.pull_requests[0].body) == ("c", "d")


def test_a_list_of_azure_with_cut_descriptions_is_completed() -> None:
    with serve(AzureStandIn) as (_, api):
        api.create(PullRequestDraft("a", "b" * 1500, "work", "main"))
        assert [len(each.body) for each in api.find("work", "main")] == [1500]


@each_forge
@pytest.mark.parametrize("state", list(CommitState))
def test_a_status_is_set_with_a_description_that_every_forge_accepts(
    kind: type[ForgeStandIn], state: CommitState
) -> None:
    with serve(kind) as (forge, api):
        api.set_status(CommitStatus(SHA, state, "closes #12 " + "é" * 200, "https://example.com/run"))
        api.set_status(CommitStatus(SHA, state, "again"))  # GitLab refuses the same state twice
        assert forge.statuses[0]["sha"] == SHA
        description = forge.statuses[0]["description"]
        assert len(description) == 140
        assert "#12" not in description
        assert "example.com/run" in str(forge.statuses[0])


@each_forge
def test_a_second_request_for_the_same_branches_is_an_answer_of_its_own(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        api.create(DRAFT)
        second = api.create(DRAFT)
        if kind is BitbucketStandIn:  # it returns the open one
            assert isinstance(second, PullRequest)
            assert second.number == 1
        else:
            assert second is Refusal.EXISTS
        assert len(forge.pull_requests) == 1


@pytest.mark.parametrize("kind", [GitHubStandIn, GiteaStandIn, BitbucketStandIn], ids=lambda kind: kind.name)
def test_a_branch_without_commits_is_an_answer_of_its_own(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        forge.empty_branches.add("work")
        assert api.create(DRAFT) is Refusal.NO_COMMITS
        assert forge.pull_requests == []


@pytest.mark.parametrize("kind", [GitHubStandIn, BitbucketStandIn], ids=lambda kind: kind.name)
def test_a_forge_that_takes_no_drafts_gives_an_answer_of_its_own(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        forge.takes_drafts = False
        assert api.create(PullRequestDraft("a", "b", "work", "main", is_draft=True)) is Refusal.NO_DRAFTS
        assert isinstance(api.create(PullRequestDraft("[unverified] a", "b", "work", "main")), PullRequest)


@each_forge
@pytest.mark.parametrize("name", ["feature/é #1?&x=%2F", 'a"b', "draft/50%25"])
def test_any_branch_name_reaches_the_forge_unchanged(kind: type[ForgeStandIn], name: str) -> None:
    with serve(kind) as (forge, api):
        forge.branches.add(name)
        new = api.create(PullRequestDraft("a", "b", name, "main"))
        assert api.find(name, "main") == [new]
        assert [each.head for each in forge.pull_requests] == [name]


@pytest.mark.parametrize("title", ["Draft: a", "WIP: a", "[Draft] a", "(draft) wip: a"])
@pytest.mark.parametrize("kind", [GitLabStandIn, GiteaStandIn], ids=lambda kind: kind.name)
def test_a_mark_in_a_title_says_whether_it_is_a_draft(kind: type[ForgeStandIn], title: str) -> None:
    with serve(kind) as (forge, api):
        forge.add(title, "b", "work", "main", is_draft=True)
        (result,) = api.find("work", "main")
        assert (result.title, result.is_draft) == ("a", True)
        forge.pull_requests[0].state = "closed"
        api.create(PullRequestDraft(title, "b", "work", "main"))
        assert forge.pull_requests[1].title == "a"

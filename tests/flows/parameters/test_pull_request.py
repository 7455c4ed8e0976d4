"""The parameters of a pull request are checked before the run; those of a delivery go before those of the run."""

import pytest

from flows import errors
from flows.errors import RunError
from flows.forges.body import UNVERIFIED
from flows.parameters.deliver import DeliverParameters
from flows.parameters.environment import read
from flows.parameters.implement import ImplementParameters
from flows.parameters.pull_request import DeliveredPullRequest, PullRequest

RUN = {"repo_url": "https://github.com/o/r", "instructions": "x", "branch_name": "work"}


@pytest.mark.parametrize(
    ("group", "others", "error"),
    [
        ({"pull_request_base": "a..b"}, {}, errors.InvalidBranchName),
        ({"pull_request_base": "work"}, {}, errors.InvalidPullRequest),
        ({"pull_request_title": "two\nlines"}, {}, errors.InvalidPullRequest),
        ({"pull_request_title": "x" * 251}, {}, errors.InvalidPullRequest),
        ({"pull_request_title": "\ud800"}, {}, errors.InvalidPullRequest),
        ({"pull_request_labels": ["a,b"]}, {}, errors.InvalidPullRequest),
        ({"pull_request_labels": [" "]}, {}, errors.InvalidPullRequest),
        ({"reviewers": [f"user-{n}" for n in range(21)]}, {}, errors.InvalidPullRequest),
        ({"reviewers": ["a\x00b"]}, {}, errors.InvalidPullRequest),
        ({"reviewers": ["ada", " @grace"]}, {}, errors.InvalidPullRequest),
        ({}, {"forge": "sourceforge"}, errors.InvalidForgeApiUrl),
        ({}, {"forge": "codecommit"}, errors.InvalidForgeApiUrl),
        ({}, {"forge": "none"}, errors.InvalidForgeApiUrl),
        ({}, {"repo_url": "https://git.example.com/o/r"}, errors.InvalidForgeApiUrl),
        ({}, {"forge_api_url": "http://elsewhere.example.com/api/v3"}, errors.InvalidForgeApiUrl),
        ({}, {"forge_api_url": "http://github.com/api"}, errors.InvalidForgeApiUrl),
        ({}, {"forge_api_url": "https://github.com/api?x", "git_credentials_block": "b"}, errors.InvalidForgeApiUrl),
    ],
    ids=lambda value: None if isinstance(value, type) else ascii(value)[:40],
)
def test_a_parameter_that_no_run_could_use_is_refused(
    group: dict[str, object], others: dict[str, str], error: type[RunError]
) -> None:
    with pytest.raises(error):
        ImplementParameters(**{**RUN, **others, "pull_request": {"pull_request": "draft", **group}})


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"forge": "none"}, "on github.com: forge is none. Set the parameter forge to one of github, "),
        ({"forge": "codecommit"}, "on github.com: codecommit has no client. "),
        ({"repo_url": "https://git.example.com/o/r"}, "its host is not the usual one of a forge"),
        ({"forge_api_url": "https://u:p@github.com/api"}, "has a user name or a token"),
        ({"forge_api_url": "github.com/api"}, "is not an https address"),
        ({"forge_api_url": "https://github.com/api?x=1"}, "has a query, a fragment"),
    ],
    ids=str,
)
def test_the_refusal_of_a_forge_says_what_is_wrong_with_it(others: dict[str, str], reason: str) -> None:
    with pytest.raises(errors.InvalidForgeApiUrl) as error:
        ImplementParameters(**{**RUN, **others, "pull_request": {"pull_request": "draft"}})
    assert reason in str(error.value)


def test_another_server_is_refused_unless_the_secret_or_block_lists_it() -> None:
    address = "https://proxy.example.com/api"
    parameters = ImplementParameters(**{**RUN, "forge_api_url": address, "pull_request": {"pull_request": "draft"}})
    parameters.check_forge([address])
    with pytest.raises(errors.InvalidForgeApiUrl, match="only if forge_api_urls of the Git Credentials block"):
        parameters.check_forge([])


def test_the_address_of_an_api_is_not_needed_by_a_run_without_a_pull_request() -> None:
    parameters = ImplementParameters(**{**RUN, "repo_url": "https://git.example.com/o/r"})
    assert not parameters.pull_request.is_wanted


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"repo_url": "https://git.example.com/o/r", "forge": "gitea"},
        {"repo_url": "https://example.com/gitlab/g/r", "forge_api_url": "https://example.com/gitlab/api/v4"}
        | {"forge": "gitlab"},
        # Whether the block lists this address is known only when the block is loaded.
        {"forge_api_url": "https://proxy.example.com/api/v3", "git_credentials_block": "b"},
    ],
    ids=["github.com", "own host", "below a path", "with a block"],
)
def test_a_forge_with_an_api_is_accepted(others: dict[str, str]) -> None:
    parameters = ImplementParameters(**{**RUN, **others, "pull_request": {"pull_request": "ready"}})
    assert parameters.pull_request.is_wanted


def test_the_variables_are_the_names_in_capitals() -> None:
    variables = {"PULL_REQUEST": "draft", "PULL_REQUEST_BASE": "release", "PULL_REQUEST_TITLE": "A title"}
    lists = {"PULL_REQUEST_LABELS": "bot, enhancement", "REVIEWERS": "ada,grace"}
    values = read({"REPO_URL": "https://example.com/a/b", **variables, **lists, "FORGE": "gitea"})
    assert values["forge"] == "gitea"
    assert values["pull_request"] == PullRequest(
        pull_request="draft",
        pull_request_base="release",
        pull_request_title="A title",
        pull_request_labels=("bot", "enhancement"),
        reviewers=("ada", "grace"),
    )


def test_what_a_delivery_leaves_empty_is_as_in_the_run() -> None:
    saved = PullRequest(pull_request="ready", pull_request_title="A title", reviewers=("ada",))
    assert DeliverParameters(flow_run_id="x").pull_request.over(saved) == saved
    changed = DeliveredPullRequest(pull_request="never", reviewers=("grace",)).over(saved)
    assert (changed.pull_request, changed.pull_request_title, changed.reviewers) == ("never", "A title", ("grace",))


def test_the_longest_title_has_room_for_each_mark() -> None:
    """GitLab, Gitea and Bitbucket accept 255 characters, and GitHub 256."""
    title = "x" * 240
    assert PullRequest(pull_request_title=title).pull_request_title == title
    assert max(map(len, (UNVERIFIED, "Draft: ", "WIP: "))) + len(title) <= 255
    with pytest.raises(errors.InvalidPullRequest):
        PullRequest(pull_request_title=f"{title}x")


@pytest.mark.parametrize("source", [{}, {"git_credentials_block": "b"}], ids=["AWS secret", "block"])
def test_an_address_that_the_secret_or_block_may_allow_is_not_refused_before_it_is_read(source: dict[str, str]) -> None:
    address = {"forge": "github", "forge_api_url": "https://api.git.example.com/v3"}
    run = ImplementParameters(
        **{
            **RUN,
            **source,
            **address,
            "repo_url": "https://git.example.com/o/r",
            "pull_request": {"pull_request": "ready"},
        }
    )
    run.check_forge(["https://api.git.example.com/v3"])
    with pytest.raises(errors.InvalidForgeApiUrl):
        run.check_forge([])

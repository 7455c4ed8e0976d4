"""An address that a person copies from a browser names one pull request or issue of the run's repository, or none."""

import pytest

from flows.errors import InvalidForgePage
from flows.forges.pages import ForgePage, PageKind, is_address, issue_page, number_in, parse_page

PULL, ISSUE = PageKind.PULL_REQUEST, PageKind.ISSUE
GITHUB = "https://github.com/acme/widgets"
GITLAB = "https://gitlab.com/acme/sub/group/widgets"
UNDER_PATH = "https://git.example.com/gitlab/acme/widgets"
GITEA = "https://codeberg.org/acme/widgets"
BITBUCKET = "https://bitbucket.org/acme/widgets"
AZURE = "https://dev.azure.com/acme/My%20Project/_git/widgets"
AZURE_FIRST = "https://dev.azure.com/acme/_git/widgets"
VISUAL_STUDIO = "https://acme.visualstudio.com/Project/_git/widgets"
SERVER = "https://tfs.example.com/tfs/DefaultCollection/Project/_git/widgets"


@pytest.mark.parametrize(
    ("kind", "repository", "path", "forge"),
    [
        (PULL, GITHUB, "/pull/12", ""),
        (PULL, GITHUB, "/pull/12/files", ""),
        (PULL, GITHUB, "/pull/12/changes/c0ffee", ""),
        (ISSUE, GITHUB, "/issues/12", ""),
        (PULL, "https://acme.ghe.com/acme/widgets", "/pull/12", ""),
        (PULL, "https://git.example.com:8443/acme/widgets", "/pull/12", "github"),
        (PULL, GITLAB, "/-/merge_requests/12", ""),
        (PULL, GITLAB, "/-/merge_requests/12/diffs", ""),
        (PULL, GITLAB, "/merge_requests/12", ""),
        (ISSUE, GITLAB, "/-/issues/12", ""),
        (ISSUE, GITLAB, "/-/work_items/12", ""),
        (PULL, UNDER_PATH, "/-/merge_requests/12", "gitlab"),
        (ISSUE, UNDER_PATH, "/-/issues/12", "gitlab"),
        (PULL, GITEA, "/pulls/12", ""),
        (PULL, GITEA, "/pulls/12/files", ""),
        (ISSUE, GITEA, "/issues/12", ""),
        (PULL, "https://git.example.com/gitea/acme/widgets", "/pulls/12", "gitea"),
        (PULL, BITBUCKET, "/pull-requests/12", ""),
        (PULL, BITBUCKET, "/pull-requests/12/diff", ""),
        (PULL, BITBUCKET, "/pull-requests/12/add-a-page/diff", ""),
        (ISSUE, BITBUCKET, "/issues/12/add-a-page", ""),
        (PULL, AZURE, "/pullrequest/12", ""),
        (PULL, AZURE, "/pullRequest/12", ""),
        (PULL, AZURE_FIRST, "/pullrequest/12", ""),
        (PULL, VISUAL_STUDIO, "/pullrequest/12", ""),
        (PULL, SERVER, "/pullrequest/12", "azure"),
    ],
)
@pytest.mark.parametrize("end", ["", "/", "?tab=files", "#issuecomment-1", "#note_3", "?a=b&c#discussion_r5"])
def test_the_page_of_a_pull_request_or_an_issue(
    kind: PageKind, repository: str, path: str, forge: str, end: str
) -> None:
    page = parse_page(f" {repository}{path}{end}\n", kind, forge=forge)
    assert (page.kind, page.repository, page.number) == (kind, repository, 12)
    assert number_in(f"{repository}{path}{end}", kind, f"{repository}.git", forge=forge) == 12
    shouted = repository.upper().replace("HTTPS", "https").replace("_GIT", "_git")
    assert number_in(f"{shouted}{path}", kind, repository, forge=forge) == 12


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        (AZURE, "https://dev.azure.com/acme/My%20Project/_workitems/edit/12"),
        (AZURE, "https://dev.azure.com/acme/my%20project/_workitems/edit/12/?a=b#c"),
        (AZURE_FIRST, "https://dev.azure.com/acme/widgets/_workitems/edit/12"),
        (VISUAL_STUDIO, "https://acme.visualstudio.com/Project/_workitems/edit/12"),
        (SERVER, "https://tfs.example.com/tfs/DefaultCollection/Project/_workitems/edit/12"),
    ],
)
def test_a_work_item_belongs_to_the_project(repository: str, address: str) -> None:
    assert number_in(address, ISSUE, repository, forge="azure") == 12


@pytest.mark.parametrize(
    ("kind", "repo_url", "address"),
    [
        (PULL, GITHUB, "https://github.com/acme/other/pull/12"),
        (PULL, GITHUB, "https://github.com/other/widgets/pull/12"),
        (PULL, GITHUB, "https://github.com:8443/acme/widgets/pull/12"),
        (PULL, GITHUB, "http://github.com/acme/widgets/pull/12"),
        (PULL, GITHUB, "https://acme.ghe.com/acme/widgets/pull/12"),
        (ISSUE, GITLAB, "https://gitlab.com/acme/widgets/-/issues/12"),
        (ISSUE, GITLAB, "https://gitlab.com/acme/sub/group/widgets/more/-/issues/12"),
        (ISSUE, GITLAB, "https://gitlab.example.com/acme/sub/group/widgets/-/issues/12"),
        (ISSUE, AZURE, "https://dev.azure.com/acme/Other/_workitems/edit/12"),
        (ISSUE, AZURE, "https://dev.azure.com/other/My%20Project/_workitems/edit/12"),
        (PULL, AZURE, "https://dev.azure.com/acme/My%20Project/_git/other/pullrequest/12"),
    ],
)
def test_a_page_of_another_server_or_repository_is_an_error_that_says_what_to_do(
    kind: PageKind, repo_url: str, address: str
) -> None:
    with pytest.raises(InvalidForgePage, match="set repo_url to the other one"):
        number_in(address, kind, repo_url)


@pytest.mark.parametrize(
    ("repo_url", "address", "repository"),
    [
        (f"{GITHUB}.git", "https://github.com/Acme/Widgets/issues/12#issuecomment-1", GITHUB),
        (GITHUB, "https://github.com/acme/tracker/issues/12", "https://github.com/acme/tracker"),
        (GITHUB, "https://github.com/other/tracker/issues/12", "https://github.com/other/tracker"),
        (GITLAB, "https://gitlab.com/acme/sub/tracker/-/issues/12", "https://gitlab.com/acme/sub/tracker"),
        (AZURE, "https://dev.azure.com/acme/My%20Project/_workitems/edit/12", AZURE),
    ],
    ids=["own", "neighbour", "other owner", "GitLab", "Azure DevOps"],
)
def test_an_issue_may_be_in_another_repository_of_the_server(repo_url: str, address: str, repository: str) -> None:
    assert issue_page(address, repo_url) == ForgePage(ISSUE, repository.removesuffix(".git"), 12)


@pytest.mark.parametrize(
    ("repo_url", "address"),
    [
        (GITHUB, "https://acme.ghe.com/acme/widgets/issues/12"),
        (GITHUB, "http://github.com/acme/widgets/issues/12"),
        (GITHUB, "https://github.com:8443/acme/widgets/issues/12"),
        (GITHUB, "https://gitlab.com/acme/widgets/-/issues/12"),
        (AZURE, "https://dev.azure.com/acme/Other/_workitems/edit/12"),
        (AZURE, "https://dev.azure.com/other/My%20Project/_workitems/edit/12"),
    ],
    ids=["host", "scheme", "port", "forge", "project", "organization"],
)
def test_an_issue_on_another_server_is_an_error_that_says_what_to_do(repo_url: str, address: str) -> None:
    with pytest.raises(InvalidForgePage, match="copy its text into the instructions"):
        issue_page(address, repo_url)


@pytest.mark.parametrize("kind", [PULL, ISSUE])
@pytest.mark.parametrize(
    "address",
    [
        "",
        "12",
        "#12",
        "github.com/acme/widgets/pull/12",
        GITHUB,
        f"{GITHUB}/pull",
        f"{GITHUB}/pull/",
        f"{GITHUB}/pull/0",
        f"{GITHUB}/pull/-1",
        f"{GITHUB}/pull/012",
        f"{GITHUB}/pull/12x",
        f"{GITHUB}/pull/\uff11\uff12",
        f"{GITHUB}/pull/{'9' * 40}",
        f"{GITHUB}/pulls/12/other",
        f"{GITHUB}/issues/12/other",
        f"{GITHUB}/tree/pull/12",
        f"{GITHUB}/../other/pull/12",
        f"{GITHUB}/%2e%2e/other/pull/12",
        f"{GITHUB}%2Fother/pull/12",
        f"{GITHUB}//pull/12",
        "https://ada@github.com/acme/widgets/pull/12",
        "https://github.com\\@evil.example/acme/widgets/pull/12",
        "https://github.com:99999/acme/widgets/pull/12",
        "https://[/acme/widgets/pull/12",
        "ftp://github.com/acme/widgets/pull/12",
        f"see {GITHUB}/pull/12",
        f"{GITHUB}/pull/12 and more",
        f"{GITHUB}/pull/12\u202e",
        f"{GITHUB}/pull/12?{'x' * 3000}",
        "https://gitlab.com/-/merge_requests/12",
        "https://gitlab.com/acme/-/merge_requests/12",
        "https://gitlab.com/acme/-/widgets/-/issues/12",
        "https://dev.azure.com/acme/_workitems/12",
        "https://git.example.com/acme/widgets/pull/12",
        "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/widgets/pull/12",
    ],
)
def test_an_address_of_anything_else_is_an_error_that_says_what_to_give(kind: PageKind, address: str) -> None:
    with pytest.raises(InvalidForgePage, match="give ") as error:
        parse_page(address, kind)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("repository", "pull", "issue"),
    [
        (GITHUB, "/pull/12/files", "/issues/12"),
        (GITLAB, "/-/merge_requests/12", "/-/issues/12"),
        (GITEA, "/pulls/12", "/issues/12"),
        (BITBUCKET, "/pull-requests/12", "/issues/12/a-page"),
        (AZURE, "/pullrequest/12", "/../../_workitems/edit/12"),
    ],
)
def test_an_issue_is_no_pull_request_and_its_error_says_which_flow_takes_it(
    repository: str, pull: str, issue: str
) -> None:
    issue_address = f"{repository.partition('/_git')[0]}{issue.removeprefix('/../..')}"
    with pytest.raises(InvalidForgePage, match=r"is the page of an issue, which the flow implement .* not that of a"):
        parse_page(issue_address, PULL)
    with pytest.raises(InvalidForgePage, match=r"is the page of a pull request, which the flow follow_up .* of an"):
        parse_page(f"{repository}{pull}", ISSUE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{GITHUB}/issues/12", True),
        (f"  HTTPS{GITHUB[5:]}/issues/12\n", True),
        (f"Do {GITHUB}/issues/12", False),
        (f"{GITHUB}/issues/12\nand more", False),
        ("Add a page", False),
        ("", False),
    ],
)
def test_instructions_that_are_an_address(text: str, *, expected: bool) -> None:
    assert is_address(text) is expected


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(InvalidForgePage) as caught:
        parse_page("https://ada:a-password@github.com/o/r/pull/1", PageKind.PULL_REQUEST)
    assert "https://…@github.com/o/r/pull/1" in str(caught.value)
    assert "a-password" not in str(caught.value)

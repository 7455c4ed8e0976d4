"""Each forge has its own pages and git user name; nothing is guessed for an unknown host."""

import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from flows.errors import RunError
from flows.forges import table
from flows.forges.base import Links, PushedCommit
from flows.parameters.addresses import RepoUrl, check_branch_name
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote

NEW = PushedCommit("feature/é #1", "c0ffee", "main")


def pages(url: str, pushed: PushedCommit = NEW) -> Links:
    return table.links(RepoUrl.parse(url).url, pushed)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/o/r.git", Links(
            "https://github.com/o/r",
            "https://github.com/o/r/tree/feature/%C3%A9%20%231",
            "https://github.com/o/r/commit/c0ffee",
            "https://github.com/o/r/compare/main...feature/%C3%A9%20%231",
            "https://github.com/o/r/compare/main...feature/%C3%A9%20%231?expand=1",
        )),
        ("https://gitlab.com/g/sub/r.git", Links(
            "https://gitlab.com/g/sub/r",
            "https://gitlab.com/g/sub/r/-/tree/feature/%C3%A9%20%231",
            "https://gitlab.com/g/sub/r/-/commit/c0ffee",
            "https://gitlab.com/g/sub/r/-/compare/main...feature/%C3%A9%20%231",
            "https://gitlab.com/g/sub/r/-/merge_requests/new?merge_request%5Bsource_branch%5D=feature%2F%C3%A9%20%231"
            "&merge_request%5Btarget_branch%5D=main",
            "merge request",
        )),
        ("https://bitbucket.org/w/r.git", Links(
            "https://bitbucket.org/w/r",
            "https://bitbucket.org/w/r/branch/feature/%C3%A9%20%231",
            "https://bitbucket.org/w/r/commits/c0ffee",
            "https://bitbucket.org/w/r/branches/compare/feature%2F%C3%A9%20%231%0Dmain",
            "https://bitbucket.org/w/r/pull-requests/new?source=feature%2F%C3%A9%20%231&dest=main",
        )),
        ("https://codeberg.org/o/r", Links(
            "https://codeberg.org/o/r",
            "https://codeberg.org/o/r/src/branch/feature/%C3%A9%20%231",
            "https://codeberg.org/o/r/commit/c0ffee",
            "https://codeberg.org/o/r/compare/main...feature/%C3%A9%20%231",
            "https://codeberg.org/o/r/compare/main...feature/%C3%A9%20%231",
        )),
        ("https://dev.azure.com/org/p/_git/r", Links(
            "https://dev.azure.com/org/p/_git/r",
            "https://dev.azure.com/org/p/_git/r?version=GBfeature%2F%C3%A9%20%231",
            "https://dev.azure.com/org/p/_git/r/commit/c0ffee",
            "https://dev.azure.com/org/p/_git/r/branchCompare?baseVersion=GBmain&targetVersion=GBfeature%2F%C3%A9%20%231",
            "https://dev.azure.com/org/p/_git/r/pullrequestcreate?sourceRef=feature%2F%C3%A9%20%231&targetRef=main",
        )),
        ("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/r", Links(
            "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/r/browse?region=eu-west-1",
            "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/r/browse/refs/heads/feature/"
            "%C3%A9%20%231?region=eu-west-1",
            "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/r/commit/c0ffee?region=eu-west-1",
            "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/r/compare/refs/heads/main/.../"
            "refs/heads/feature/%C3%A9%20%231?region=eu-west-1",
            "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/r/pull-requests/new/refs/heads/"
            "main/.../refs/heads/feature/%C3%A9%20%231?region=eu-west-1",
        )),
        ("https://git.example.com/o/r.git", Links("https://git.example.com/o/r.git")),
        ("https://notgithub.com/o/r.git", Links("https://notgithub.com/o/r.git")),
        ("http://127.0.0.1:8080/r.git", Links("http://127.0.0.1:8080/r.git")),
    ],
    ids=["github", "gitlab", "bitbucket", "forgejo", "azure", "codecommit", "unknown", "similar name", "loopback"],
)  # fmt: skip
def test_each_host_has_its_own_pages(url: str, expected: Links) -> None:
    assert pages(url) == expected


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://github.example.com/o/r.git", "/tree/"),
        ("https://acme.ghe.com/o/r.git", "/tree/"),
        ("https://gitlab.example.com:8443/o/r.git", "/-/tree/"),
        ("https://gitea.example.com/o/r.git", "/src/branch/"),
        ("https://forgejo.example.com/o/r.git", "/src/branch/"),
    ],
)
def test_a_self_managed_installation_is_recognised_by_its_name(url: str, part: str) -> None:
    page = pages(url)
    assert page.branch.startswith(f"{page.repository}{part}")
    assert urlsplit(page.branch).netloc == urlsplit(url).netloc


def test_a_person_can_say_which_forge_a_host_has() -> None:
    url = "https://git.example.com/o/r.git"
    assert table.links(url, NEW, "gitea").branch.startswith("https://git.example.com/o/r/src/branch/")
    assert table.git_username(url, "a-token", "bitbucket") == "x-token-auth"
    assert table.forge_of("https://github.com/o/r.git", "none") is None


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r/pull/7"),
        ("https://gitlab.com/g/r.git", "https://gitlab.com/g/r/-/merge_requests/7"),
        ("https://bitbucket.org/w/r.git", "https://bitbucket.org/w/r/pull-requests/7"),
        ("https://codeberg.org/o/r.git", "https://codeberg.org/o/r/pulls/7"),
        ("https://dev.azure.com/o/p/_git/r", "https://dev.azure.com/o/p/_git/r/pullrequest/7"),
    ],
)
def test_each_pull_request_has_a_page(url: str, page: str) -> None:
    forge = table.forge_of(url)
    assert forge
    assert forge.pull_request_page(table.page_of(url), 7) == page


@pytest.mark.parametrize("host", ["github.com/o", "gitlab.com/g", "bitbucket.org/w", "codeberg.org/o"])
def test_a_continued_branch_has_no_comparison_with_another_branch(host: str) -> None:
    page = pages(f"https://{host}/r.git", PushedCommit("x", "c0ffee"))
    assert page.branch.endswith("/x")
    assert "main" not in f"{page.compare}{page.request}"
    assert page.compare in {"", "https://github.com/o/r/compare/x"}


@given(st.text("ab/&=?#%<>()[]\"' é", min_size=1, max_size=12))
def test_no_branch_name_makes_a_link_lead_elsewhere(name: str) -> None:
    try:
        check_branch_name(name)
    except RunError:
        return
    for url in (
        "https://github.com/o/r",
        "https://gitlab.com/o/r",
        "https://bitbucket.org/o/r",
        "https://codeberg.org/o/r",
        "https://dev.azure.com/o/r/_git/r",
    ):
        page = pages(url, PushedCommit(name, "c0ffee", name))
        for address in (page.branch, page.compare, page.request):
            assert not set(address) & set("<>\"' ()[]"), address
            assert urlsplit(address).path.startswith("/o/r/")
            assert not urlsplit(address).fragment


@pytest.mark.parametrize(
    ("url", "username", "token", "expected"),
    [
        ("https://github.com/o/r.git", "", "a-token", "x-access-token"),
        ("https://git.example.com/o/r.git", "", "a-token", "x-access-token"),
        ("https://gitlab.com/g/r.git", "", "a-token", "oauth2"),
        ("https://codeberg.org/o/r.git", "", "a-token", "x-access-token"),
        ("https://dev.azure.com/o/p/_git/r", "", "a-token", "x-access-token"),
        ("https://bitbucket.org/w/r.git", "", "a-token", "x-token-auth"),
        ("https://bitbucket.org/w/r.git", "", "ATATT3xFfGF0", "x-bitbucket-api-token-auth"),
        ("https://bitbucket.org/w/r.git", "a-person", "a-token", "a-person"),
    ],
)
def test_git_sends_the_user_name_of_the_secret_or_of_the_forge(
    tmp_path: Path, url: str, username: str, token: str, expected: str
) -> None:
    credentials = GitCredentials(SecretStr(token), "a@example.com", username)
    remote = Remote(RepoUrl.parse(url), credentials, tmp_path)
    with remote._credential_helper() as (helper, descriptor):
        completed_process = subprocess.run(
            ["sh", "-c", f"{helper.removeprefix('!')} get"],
            input="protocol=https\nhost={}\n\n".format(remote.url.origin.removeprefix("https://")),
            check=True,
            capture_output=True,
            text=True,
            pass_fds=[descriptor],
        )
    assert completed_process.stdout == f"username={expected}\npassword={token}\n"

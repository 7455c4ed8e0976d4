"""Bindings of a token: which addresses they allow, in every spelling, and which malformed lists are refused."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import InvalidGitSecret, InvalidRepoUrl
from flows.parameters.addresses import RepoUrl
from flows.repository.binding import Binding
from flows.repository.credentials import GitCredentials

ORG = "https://github.com/your-org/*"


NO_HOSTS: list[object] = [[], None, "", "github.com", {}, {"github.com": 1}, 0, False, True]
NO_REPOSITORIES: list[object] = [[], None, "", ORG, {}, 1]
NO_ENTRIES: list[object] = ["", " ", None, 1, [], {}, ["github.com"], "a b"]


def allows(url: str, **fields: Any) -> bool:  # noqa: ANN401 (fields of a secret)
    return Binding.parse(fields, "the secret").allows(RepoUrl.parse(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/your-org/x",
        "https://github.com/your-org/x.git",
        "https://github.com/your-org/x.git/",
        "https://GitHub.COM/your-org/x",
        "https://github.com:443/your-org/x",
        "https://github.com:0443/your-org/x",
        "https://github.com./your-org/x",
        "https://github.com/%79our-org/x",
        "https://github.com/your-org/a%2Bb",
        "https://github.com/your-org/x.git.git",
    ],
)
def test_every_spelling_of_an_allowed_repository_is_allowed(url: str) -> None:
    assert allows(url, repositories=[ORG])
    assert allows(url, hosts=["github.com"])
    assert allows(url, hosts=["github.com:443"], repositories=[ORG])
    assert allows(url, hosts=["GITHUB.com."], repositories=["https://GitHub.com:443/your-org/*.git"])


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/your-org/x",
        "https://github.com.evil.example/your-org/x",
        "https://evil-github.com/your-org/x",
        "https://github.com-evil.example/your-org/x",
        "https://github.com../your-org/x",
        "https://api.github.com/your-org/x",
        "https://github.com:8443/your-org/x",
        "https://github.com/your-org-evil/x",
        "https://github.com/evil/your-org/x",
        "https://github.com/your-org/x/y",
        "https://github.com/your-org",
        "https://github.com/your-org/",
        "https://github.com/your-org/.git",
        "https://github.com/Your-Org/x",
        "https://github.com/your-org%2Fx",
        "https://github.com/your-org/x%2Fy",
        "https://github.com/your-org/%252e%252e",
        "https://github.com/your-org/..;",
        "https://github.com/your-org/..;/evil/x",
        "https://github.com/your-org/x;y",
        "https://github.com/your-org/%c0%ae%c0%ae",
        "https://github.com/your-org/%2e",
        "https://github.com/./your-org/x",
        "https://github.com//your-org/x",
        "https://github.com/your-org//x",
        "https://xn--gthub-cta.com/your-org/x",
        "http://localhost/your-org/x",
        "http://127.0.0.1/github.com/your-org/x",
    ],
)
def test_no_other_repository_is_allowed(url: str) -> None:
    assert not allows(url, repositories=[ORG])
    assert not allows(url, repositories=["https://github.com/your-org/a", ORG], hosts=["github.com"])


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com@evil.example/your-org/x",
        "https://github.com/your-org/../evil/x",
        "https://github.com/your-org/%2e%2e/evil/x",
        "https://github.com/your-org/..%2Fevil",
        "https://github.com\\@evil.example/your-org/x",
        "https://github.com%2eevil.example/your-org/x",
        "https://gith\u212aub.com/your-org/x",
        "https://g\u0131thub.com/your-org/x",
        "https://github.com\uff0fevil/your-org/x",
    ],
)
def test_some_spellings_are_not_valid_addresses(url: str) -> None:
    with pytest.raises(InvalidRepoUrl):
        RepoUrl.parse(url)


@pytest.mark.parametrize(
    ("host", "url", "allowed"),
    [
        ("github.com", "https://github.com/any/where", True),
        ("github.com", "https://github.com:8443/x", False),
        ("git.example.com:8443", "https://git.example.com:8443/x", True),
        ("git.example.com:8443", "https://git.example.com/x", False),
        ("example.com", "https://git.example.com/x", False),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/x", True),
        ("127.0.0.1:5000", "http://127.0.0.1:5001/x", False),
        ("127.0.0.1", "http://127.0.0.1:5000/x", False),
        ("127.0.0.1", "http://127.0.0.1/x", True),
        ("localhost:5000", "http://127.0.0.1:5000/x", False),
        ("[0:0:0::1]:5000", "http://[::1]:5000/x", True),
        ("[::1]:5000", "http://[::ffff:127.0.0.1]:5000/x", False),
        ("xn--bcher-kva.example", "https://XN--BCHER-KVA.example/x", True),
    ],
)
def test_a_host_is_one_host_and_one_port(host: str, url: str, allowed: bool) -> None:
    try:
        assert allows(url, hosts=[host]) == allowed
    except InvalidRepoUrl:
        assert not allowed


@pytest.mark.parametrize(
    ("pattern", "url", "allowed"),
    [
        ("https://gitlab.com/group/**", "https://gitlab.com/group/sub/deep/x.git", True),
        ("https://gitlab.com/group/**", "https://gitlab.com/group", False),
        ("https://gitlab.com/group/**", "https://gitlab.com/group/sub/..;/..;/evil/x", False),
        ("https://gitlab.com/group/**", "https://gitlab.com/group-evil/x", False),
        ("https://github.com/your-org/service-*", "https://github.com/your-org/service-a", True),
        ("https://github.com/your-org/service-*", "https://github.com/your-org/service-", False),
        ("https://github.com/*/docs", "https://github.com/a/docs.git", True),
        ("https://github.com/*/docs", "https://github.com/a/b/docs", False),
        ("https://github.com/a.b/x", "https://github.com/aXb/x", False),
        ("https://github.com/a+(b)/x", "https://github.com/a+(b)/x", True),
        ("https://dev.azure.com/o/A%26B/_git/*", "https://dev.azure.com/o/A&B/_git/x", True),
        ("https://git.example.com:8443/o/*", "https://git.example.com:8443/o/x", True),
        ("https://git.example.com:8443/o/*", "https://git.example.com/o/x", False),
        ("https://127.0.0.1:5000/o/*", "http://127.0.0.1:5000/o/x", False),
    ],
)
def test_a_star_stays_within_its_part_of_the_path(pattern: str, url: str, allowed: bool) -> None:
    assert allows(url, repositories=[pattern]) == allowed


def test_both_lists_must_allow_the_repository() -> None:
    both = {"hosts": ["github.com", "gitlab.com"], "repositories": [ORG, "https://git.example.com/a/*"]}
    assert allows("https://github.com/your-org/x", **both)
    assert not allows("https://gitlab.com/your-org/x", **both)
    assert not allows("https://git.example.com/a/x", **both)


def test_without_lists_everything_is_allowed() -> None:
    assert allows("https://anything.example/x")
    assert Binding.parse({"token": "t", "email": "e"}, "the secret").is_empty


@pytest.mark.parametrize(
    "fields",
    [
        *({"hosts": value} for value in NO_HOSTS),
        *({"repositories": value} for value in NO_REPOSITORIES),
        *({"hosts": ["github.com", entry]} for entry in NO_ENTRIES),
        *(
            {"hosts": [entry]}
            for entry in (
                "*", "*.example.com", "https://github.com", "github.com/", "github.com/org", "hush@github.com",
                "github.com:", "github.com:0", "github.com:65536", "github.com:x", " github.com", "github.com\n",
                "bücher.example", "[::::]", "[::1", "github.com#", "github.com,gitlab.com", "git\u212a.com",
            )
        ),
        *(
            {"repositories": [entry]}
            for entry in (
                "", "*", "**", "https://*", "https://*/x", "https://*.example.com/x", "https://github.com",
                "https://github.com/", "https://github.com/your-org/", "https://github.com//x", "github.com/your-org/*",
                "git@github.com:your-org/x", "ssh://github.com/x", "https://hush:hush@github.com/x",
                "https://github.com/o/../x", "https://github.com/o/%2e%2e/x", "https://github.com/o%2Fx",
                "https://github.com/**/x", "https://github.com/o/x**", "https://github.com/o/x?y", "https://github.com/o/x#y",
                "https://github.com:99999/x", "https://github.com/o/x y", None, 7, ["x"],
            )
        ),
        *(
            {name: ["github.com"]}
            for name in ("host", "Hosts", "HOSTS", "hosts ", "repository", "repos", "repo", "Repositories")
        ),
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_list_is_refused_and_not_treated_as_missing(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidGitSecret) as raised:
        Binding.parse(fields, "secret 's'")
    assert "secret 's'" in str(raised.value)
    assert "hush" not in str(raised.value)


@given(st.text(alphabet="githubcom.your-org/%2eE;:@\\x", max_size=40))
def test_a_pattern_allows_only_repositories_on_its_host_and_below_its_folder(text: str) -> None:
    try:
        url = RepoUrl.parse(f"https://github.com{text}")
    except InvalidRepoUrl:
        return
    if Binding.parse({"repositories": [ORG]}, "the secret").allows(url):
        assert url.origin.lower().removesuffix(".") in {"https://github.com", "https://github.com:443"}
        assert url.path.count("/") == 2


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("repositries", "repositories"), ("respositories", "repositories"), ("Repositorys", "repositories"),
        ("allowed_repos", "repositories"), ("gitRepos", "repositories"), ("repo-urls", "repositories"),
        ("hosst", "hosts"), ("allowedHosts", "hosts"), ("HOST_NAMES", "hosts"), ("git_domain", "hosts"),
    ],
)  # fmt: skip
def test_a_misspelt_list_is_refused_with_the_right_name(name: str, field: str) -> None:
    with pytest.raises(InvalidGitSecret) as raised:
        Binding.parse({"token": "t", "email": "a@b.c", name: ["https://hush.example/*"]}, "secret 's'")
    assert f"secret 's' has the field {name!r}, which looks like {field!r}: rename it" in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "name", "field"),
    [
        ({"tokne": "hush", "email": "a@b.c"}, "tokne", "token"),
        ({"access_token": "hush", "email": "a@b.c"}, "access_token", "token"),
        ({"username": "u", "password": "hush", "email": "a@b.c"}, "password", "token"),
        ({"token": "t", "e-mail": "hush@b.c"}, "e-mail", "email"),
        ({"token": "t", "Email": "hush@b.c"}, "Email", "email"),
        ({"token": "t", "email": "a@b.c", "userName": "hush"}, "userName", "username"),
    ],
)
def test_another_name_for_a_missing_field_is_refused_with_the_right_name(
    fields: dict[str, object], name: str, field: str
) -> None:
    with pytest.raises(InvalidGitSecret, match=re.escape(f"the field {name!r}, which looks like {field!r}")) as raised:
        GitCredentials.from_fields(fields, "secret 's'")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("name", ["note", "owner", "expires", "token_type", "user", "emails", "description", "engine"])
def test_fields_of_other_programs_are_accepted(name: str) -> None:
    assert not GitCredentials.from_fields({"token": "t", "email": "a@b.c", name: "x"}, "secret 's'").is_bound

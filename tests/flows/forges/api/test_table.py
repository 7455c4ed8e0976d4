"""The token goes to the fixed address of the forge's API, to the repository's server, or where the operator allows."""

from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from flows.errors import InvalidForgeApiUrl
from flows.forges.api.table import APIS, open_api, repository_of
from flows.forges.table import FORGE_NAMES, FORGES

TOKEN = SecretStr("the-token")


@pytest.mark.parametrize(
    ("url", "forge", "forge_api_url", "api_url", "path"),
    [
        ("https://github.com/o/r.git", "", "", "https://api.github.com", "o/r"),
        ("https://acme.ghe.com/o/r", "", "", "https://api.acme.ghe.com", "o/r"),
        ("https://github.example.com:8443/o/r", "", "", "https://github.example.com:8443/api/v3", "o/r"),
        ("https://git.example.com/o/r", "github", "", "https://git.example.com/api/v3", "o/r"),
        ("https://github.com:443/o/r", "github", "", "https://api.github.com", "o/r"),
        ("https://gitlab.com/g/s u/r.git", "", "", "https://gitlab.com/api/v4", "g/s%20u/r"),
        (
            "https://example.com/gitlab/g/r.git",
            "gitlab",
            "https://example.com/gitlab/api/v4/",
            "https://example.com/gitlab/api/v4",
            "g/r",
        ),
        ("https://codeberg.org/o/r.git", "", "", "https://codeberg.org/api/v1", "o/r"),
        ("https://gitea.com/o/r.git", "", "", "https://gitea.com/api/v1", "o/r"),
        (
            "https://example.com/git/o/r.git",
            "gitea",
            "https://example.com/git/api/v1",
            "https://example.com/git/api/v1",
            "o/r",
        ),
        ("https://bitbucket.org/w/r.git", "", "", "https://api.bitbucket.org/2.0", "w/r"),
        ("https://dev.azure.com/org/My%20Project/_git/r", "", "", "https://dev.azure.com/org", "My%20Project/_git/r"),
        ("https://dev.azure.com/org/_git/r", "", "", "https://dev.azure.com/org", "_git/r"),
        ("https://org.visualstudio.com/p/_git/r", "", "", "https://org.visualstudio.com", "p/_git/r"),
        (
            "https://tfs.example.com/tfs/Coll/p/_git/r",
            "azure",
            "https://tfs.example.com/tfs/Coll",
            "https://tfs.example.com/tfs/Coll",
            "p/_git/r",
        ),
    ],
)
def test_each_forge_has_a_fixed_address(url: str, forge: str, forge_api_url: str, api_url: str, path: str) -> None:
    repository = repository_of(url, TOKEN, "", forge, forge_api_url, ())
    assert (repository.api_url, repository.path) == (api_url, path)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://dev.azure.com/org/p/_git/r", "/p/_apis/git/repositories/r"),
        ("https://dev.azure.com/org/_git/r", "/r/_apis/git/repositories/r"),
        ("https://org.visualstudio.com/DefaultCollection/p/_git/r", "/p/_apis/git/repositories/r"),
    ],
)
def test_a_repository_of_azure_may_leave_out_its_project(url: str, path: str) -> None:
    with open_api(url, TOKEN) as api:
        assert api._path == path  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example.com/api/v3",
        "https://api.github.com",
        "https://git.example.com:8443/api/v3",
        "http://git.example.com/api/v3",
        "https://user@git.example.com/api/v3",
        "https://git.example.com/api/v3?x=1",
        "https://git.example.com/api/v3?",
        "https://git.example.com/api/v3#",
        "https://git.exa\nmple.com/api/v3",
        "https://git.example.com/api/v3\t",
        "https://git.example.com/a b/api/v3",
        "https://git.example.com\\.evil.example/api/v3",
        "https://git.example.com\\@evil.example/api/v3",
        "https://git.example.com/\x00api/v3",
        "https://git.example.com/" + "a" * 70_000,
        "https://git.example.com/api/v3#x",
        "https://git.example.com/a/%2e%2e/api",
        "https://git.example.com.evil.example.com/api/v3",
        "file:///etc/passwd",
        "git.example.com/api/v3",
        "https://[::1/api",
    ],
)
def test_the_token_goes_to_no_other_server(address: str) -> None:
    with pytest.raises(InvalidForgeApiUrl):
        open_api("https://git.example.com/o/r.git", TOKEN, forge="github", forge_api_url=address)


@pytest.mark.parametrize("forge", sorted(APIS))
@pytest.mark.parametrize("host", ["git.example.com", "github.com.example.com", "xghe.com", "127.0.0.1:8080"])
def test_the_name_of_a_forge_sends_no_token_to_the_host_of_that_forge(forge: str, host: str) -> None:
    url = f"https://{host}/o/r.git"
    if forge == "bitbucket":
        with pytest.raises(InvalidForgeApiUrl, match="set forge_api_url"):
            open_api(url, TOKEN, forge=forge)
    else:
        assert urlsplit(repository_of(url, TOKEN, "", forge, "", ()).api_url).netloc == host


def test_an_operator_can_allow_one_more_address() -> None:
    address = "https://api.git.example.com/v3"
    with open_api(
        "https://git.example.com/o/r.git",
        TOKEN,
        forge="github",
        forge_api_url=address,
        allowed_api_urls=[f"{address}/"],
    ) as api:
        assert api.repository.api_url == address
    with pytest.raises(InvalidForgeApiUrl):
        open_api(
            "https://git.example.com/o/r.git",
            TOKEN,
            forge="github",
            forge_api_url=f"{address}/other",
            allowed_api_urls=[address],
        )


@pytest.mark.parametrize(
    ("url", "forge"),
    [
        ("https://git.example.com/o/r.git", ""),
        ("https://github.com/o/r.git", "none"),
        ("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/r", ""),
        ("https://git-codecommit-fips.us-east-1.amazonaws.com/v1/repos/r", ""),
    ],
)
def test_a_forge_without_a_client_is_a_named_error(url: str, forge: str) -> None:
    with pytest.raises(InvalidForgeApiUrl, match="github, gitlab"):
        open_api(url, TOKEN, forge=forge)


def test_every_client_belongs_to_a_forge() -> None:
    assert APIS.keys() == {forge.name for forge in FORGES} - {"codecommit"}
    assert len(set(FORGE_NAMES)) == len(FORGE_NAMES) == len(FORGES) + 1


@pytest.mark.parametrize("host", ["GitHub.com", "github.com:443", "github.com.", "GITHUB.COM.:443"])
def test_all_spellings_of_a_known_host_have_its_api(host: str) -> None:
    assert repository_of(f"https://{host}/o/r.git", TOKEN, "", "github", "", ()).api_url == "https://api.github.com"

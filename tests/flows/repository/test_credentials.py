"""Git credentials with a GitHub App, with addresses of APIs, and with the user name for a kind of forge."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from blocks import GitCredentials as Block
from flows.errors import InvalidBlock, InvalidForgeApiUrl, InvalidGitSecret, RepositoryNotAllowed
from flows.parameters.addresses import RepoUrl
from flows.parameters.implement import ImplementParameters
from flows.repository.credentials import GitCredentials
from flows.tasks.secret import check_agent_lacks, credentials_for
from tests.support.forges.github_app import APP_FIELDS, AppServer, installation_token

KEY = str(APP_FIELDS["private_key"])


def request(url: str, **parameters: object) -> ImplementParameters:
    return ImplementParameters(**{"repo_url": url, "instructions": "x", "branch_name": "work", **parameters})


@pytest.mark.parametrize("source", ["secret", "block"])
def test_an_app_makes_the_token_each_time(source: str) -> None:
    with AppServer() as server:
        url = f"{server.url}/acme/widgets.git"
        if source == "secret":
            stored = GitCredentials.from_fields(APP_FIELDS, "secret 'x'")
        else:
            stored = Block(app_id="123456", private_key=SecretStr(KEY)).resolve("us-east-1")
        assert (stored.token.get_secret_value(), stored.email) == ("", "claude-code-headless@users.noreply.invalid")
        for count in (1, 2):
            credentials = credentials_for(request(url, forge="github"), stored)
            assert credentials.token.get_secret_value() == installation_token()
            assert credentials.username == "x-access-token"
            assert [each.method for each in server.requests].count("POST") == count


def test_the_address_of_the_author_counts_if_there_is_one() -> None:
    assert GitCredentials.from_fields({**APP_FIELDS, "email": "bot@example.com"}, "x").email == "bot@example.com"
    with pytest.raises(InvalidGitSecret, match="e-mail"):
        GitCredentials.from_fields({**APP_FIELDS, "email": "bot"}, "x")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("appId", "app_id"),
        ("app-id", "app_id"),
        ("PrivateKey", "private_key"),
        ("installationId", "installation_id"),
        ("forge_api_url", "forge_api_urls"),
        ("forgeApiUrls", "forge_api_urls"),
    ],
)
def test_a_misspelt_field_is_refused_with_the_right_name(name: str, field: str) -> None:
    fields = {**APP_FIELDS, "forge_api_urls": ["https://git.example.com/api/v4"]}
    misspelt = {**{each: value for each, value in fields.items() if each != field}, name: fields.get(field, "9")}
    with pytest.raises(InvalidGitSecret, match=f"the field '{name}', which looks like '{field}': rename it"):
        GitCredentials.from_fields(misspelt, "x")
    of_other_programs = {"token": "x", "email": "a@example.com", "privateKey": "of something else", "api_url": "y"}
    assert GitCredentials.from_fields(of_other_programs, "x").app is None


def test_a_secret_with_a_token_and_an_app_is_refused() -> None:
    with pytest.raises(InvalidGitSecret, match="a token and a GitHub App"):
        GitCredentials.from_fields({**APP_FIELDS, "token": "x"}, "x")


def test_the_key_of_an_app_is_used_for_no_repository_that_its_secret_does_not_allow() -> None:
    with AppServer() as server:
        stored = GitCredentials.from_fields({**APP_FIELDS, "hosts": ["github.com"]}, "x")
        with pytest.raises(RepositoryNotAllowed):
            credentials_for(request(f"{server.url}/acme/widgets.git", forge="github"), stored)
        assert server.requests == []


def test_the_agent_does_not_get_the_key_of_the_app() -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fields = {"app_id": "1", "private_key": key.decode()}
    credentials = GitCredentials.from_fields(fields, "x")
    made = GitCredentials(SecretStr("the-token"), "a@example.com", app=credentials.app)
    with pytest.raises(InvalidBlock, match="DEPLOY_KEY"):
        check_agent_lacks(made, {"DEPLOY_KEY": SecretStr(f"{key.decode()}\n")})


@pytest.mark.parametrize(
    "value", ["https://a.example.com", [7], ["a.example.com"]], ids=["text", "number", "no scheme"]
)
def test_a_malformed_list_of_addresses_is_refused(value: object) -> None:
    fields = {"token": "x", "email": "a@example.com", "forge_api_urls": value}
    with pytest.raises(InvalidGitSecret, match="forge_api_urls"):
        GitCredentials.from_fields(fields, "x")


def test_only_a_listed_address_on_another_server_gets_the_token() -> None:
    api = "https://api.example.net/v3"
    parameters = {"forge": "github", "forge_api_url": api, "git_credentials_block": "b"}
    asked = request("https://git.example.com/o/r", pull_request={"pull_request": "draft"}, **parameters)
    block = Block(token=SecretStr("x"), email="a@example.com")
    with pytest.raises(InvalidForgeApiUrl, match="only if forge_api_urls of the Git Credentials block or secret"):
        asked.check_forge(block.resolve("us-east-1").api_urls)
    block.forge_api_urls = [f"{api}/"]
    asked.check_forge(block.resolve("us-east-1").api_urls)


@pytest.mark.parametrize(
    ("token", "forge", "username", "expected"),
    [
        ("x", "", "", ""),
        ("x", "gitlab", "", "oauth2"),
        ("ATATx", "bitbucket", "", "x-bitbucket-api-token-auth"),
        ("x", "gitlab", "own", "own"),
    ],
)
def test_the_user_name_is_that_of_the_kind_of_forge(token: str, forge: str, username: str, expected: str) -> None:
    credentials = GitCredentials(SecretStr(token), "a@example.com", username)
    url = RepoUrl.parse("https://git.example.com/o/r")
    assert credentials.for_repository(url, forge, "").username == expected

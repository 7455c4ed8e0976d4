"""A GitHub App gets a token for one repository, and its key is neither shown nor sent."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from flows.errors import ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, InvalidGitSecret, RunError
from flows.forges.github_app import GitHubApp
from flows.redaction import redact
from tests.support.forges.github_app import APP_FIELDS, KEY, AppServer, installation_token, pem


def app(**changes: object) -> GitHubApp:
    result = GitHubApp.from_fields({**APP_FIELDS, **changes}, "secret 'x'")
    assert result
    return result


@pytest.mark.parametrize("installation", ["", 99, "99"])
def test_an_app_gets_a_token_for_one_repository(installation: object) -> None:
    with AppServer() as server:
        result = app(installation_id=installation).token(f"{server.url}/acme/widgets.git", forge="github")
        assert result.token.get_secret_value() == installation_token()
        assert result.expires_at == datetime(2026, 11, 28, 8, tzinfo=UTC)
        assert [request.method for request in server.requests] == (["POST"] if installation else ["GET", "POST"])


@pytest.mark.parametrize(
    "key",
    [pem(KEY), pem(KEY, PrivateFormat.TraditionalOpenSSL), pem(KEY).replace("\n", "\\n"), f"\n {pem(KEY)} \n"],
    ids=["PKCS 8", "PKCS 1", "escaped line breaks", "white space"],
)
def test_a_key_is_accepted_in_each_usual_form(key: str) -> None:
    with AppServer() as server:
        url = f"{server.url}/acme/widgets.git"
        assert app(private_key=key).token(url, forge="github").token.get_secret_value() == installation_token()


def test_key_signature_and_token_are_redacted_and_the_key_is_not_sent() -> None:
    with AppServer() as server:
        app().token(f"{server.url}/acme/widgets.git", forge="github")
        signature = server.requests[0].headers["authorization"].removeprefix("Bearer ")
        key = str(APP_FIELDS["private_key"])
        for secret in (key.strip(), signature, installation_token()):
            assert secret not in redact(f"see {secret} here")
        assert all(line not in str(server.requests) for line in key.splitlines() if len(line) > 20)


def test_a_secret_without_an_app_has_none() -> None:
    assert GitHubApp.from_fields({"token": "x", "email": "a@example.com"}, "secret 'x'") is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"app_id": ""}, "app_id"),
        ({"app_id": "12 34"}, "app_id"),
        ({"app_id": None}, "app_id"),
        ({"private_key": ""}, "private_key"),
        ({"private_key": 7}, "private_key"),
        (
            {"private_key": "-----BEGIN RSA PRIVATE KEY-----\nnonsense-nonsense\n-----END RSA PRIVATE KEY-----"},
            "private_key",
        ),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "private_key"),
        ({"installation_id": "my-org"}, "installation_id"),
    ],
    ids=["no id", "id with a space", "null", "no key", "number", "nonsense", "other kind of key", "name"],
)
def test_an_unusable_app_is_named_without_its_values(changes: dict[str, object], name: str) -> None:
    with pytest.raises(InvalidGitSecret, match=name) as error:
        app(**changes)
    assert "nonsense" not in str(error.value)


def test_another_key_is_refused_with_advice() -> None:
    with AppServer() as server:
        other = app(private_key=pem(rsa.generate_private_key(65537, 2048)))
        with pytest.raises(ForgeAuthFailed, match=r"App 123456.*private_key.*clock"):
            other.token(f"{server.url}/acme/widgets.git", forge="github")


@pytest.mark.parametrize(
    ("repository", "installation", "error", "words"),
    [
        ("acme/other", "", ForgePermissionMissing, "install the App"),
        ("acme/widgets", 7, ForgePermissionMissing, "installation_id"),
    ],
    ids=["not installed", "another installation"],
)
def test_an_app_that_is_not_installed_is_named(
    repository: str, installation: object, error: type[RunError], words: str
) -> None:
    with AppServer() as server, pytest.raises(error, match=words):
        app(installation_id=installation).token(f"{server.url}/{repository}.git", forge="github")


def test_other_faults_have_the_names_of_the_api() -> None:
    with AppServer() as server:
        for fault, error in (((502, {}), ForgeUnavailable), ((200, {"odd": 1}), ForgeAuthFailed)):
            server.fault = fault
            with pytest.raises(error):
                app().token(f"{server.url}/acme/widgets.git", forge="github")


def test_an_app_is_for_github_alone() -> None:
    with pytest.raises(InvalidGitSecret, match="another forge"):
        app().token("https://gitlab.com/g/r.git")


@pytest.mark.parametrize(
    "body",
    [
        {"id": 99, "token": None, "expires_at": "2026-11-28T08:00:00Z"},
        {"id": 99, "token": "a b\r\nc", "expires_at": "2026-11-28T08:00:00Z"},
        {"id": 99, "token": "ghs_é" * 9, "expires_at": "2026-11-28T08:00:00Z"},
        {"id": 99, "token": "ghs_" + "x" * 36},
        {"id": 99, "token": "ghs_" + "x" * 36, "expires_at": "soon"},
        {"id": "one", "token": "ghs_" + "x" * 36, "expires_at": "soon"},
        {"token": "ghs_" + "x" * 36},
    ],
    ids=["null", "white space", "not ASCII", "no end", "odd end", "odd id", "no id"],
)
@pytest.mark.parametrize("installation", ["", 99], ids=["asked", "known"])
def test_an_odd_answer_is_a_named_error_that_quotes_no_token(body: dict[str, object], installation: object) -> None:
    with AppServer() as server:
        server.fault = (200, body)
        with pytest.raises(ForgeAuthFailed, match="no token") as error:
            app(installation_id=installation).token(f"{server.url}/acme/widgets.git", forge="github")
        assert str(body.get("token")) not in str(error.value)

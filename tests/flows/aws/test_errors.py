"""AWS credentials that cannot be found or are no longer valid have one name, and advice that fits their source."""

import json
import logging
import os
from pathlib import Path

import pytest
import trustme

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.aws.credentials import AwsKeys, new_session
from flows.aws.errors import ServiceErrors, named_errors
from flows.credential_values import strip_environment
from flows.errors import (
    AwsCredentialsMissing,
    InvalidEndpoint,
    RunError,
    SecretAccessDenied,
    SecretNotFound,
    SecretUnavailable,
)
from tests.support.tls import by_tls

SSO = """
sso_account_id = 123456789012
sso_role_name = reader
"""
ROLE = "role_arn = arn:aws:iam::123456789012:role/reader\n"
CONFIG = f"""
[profile session]
sso_session = company
{SSO}
[sso-session company]
sso_start_url = https://example.awsapps.com/start
sso_region = us-east-1
[profile without-session]
sso_start_url = https://example.awsapps.com/start
sso_region = us-east-1
{SSO}
[profile unknown-session]
sso_session = nowhere
{SSO}
[profile circle]
source_profile = circle-2
{ROLE}
[profile circle-2]
source_profile = circle
{ROLE}
[profile no-source]
source_profile = missing
{ROLE}
[profile keys]
aws_access_key_id = AKIDOFTHISTEST
aws_secret_access_key = secret-of-this-test
[profile role]
source_profile = keys
{ROLE}
[profile no-program]
credential_process = /nonexistent/program
[profile no-json]
credential_process = echo hello
[profile endpoint]
source_profile = keys
aws_access_key_id = AKIDOFTHISTEST
aws_secret_access_key = secret-of-this-test
endpoint_url = localhost:4566
"""


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def error_of(profile: str, monkeypatch: pytest.MonkeyPatch) -> RunError:
    """Return the error of a request with the credentials of a profile."""
    monkeypatch.setenv("AWS_PROFILE", profile)
    errors = ServiceErrors("secret 'x'", SecretNotFound, SecretAccessDenied, SecretUnavailable)
    with pytest.raises(RunError) as caught, named_errors(errors):
        new_session("us-east-1").client("secretsmanager").get_secret_value(SecretId="x")
    return caught.value


@pytest.mark.parametrize(
    ("profile", "advice"),
    [
        ("nowhere", "set AWS_PROFILE to a profile of this machine (session, "),
        ("session", "run `aws sso login --profile session`"),
        ("without-session", "run `aws sso login --profile without-session`"),
        ("unknown-session", "supply a role, a profile or keys"),
        ("circle", "supply a role, a profile or keys"),
        ("no-source", "supply a role, a profile or keys"),
        ("no-program", "supply a role, a profile or keys"),
        ("no-json", "supply a role, a profile or keys"),
    ],
)
def test_a_profile_without_usable_credentials_is_named_with_advice(
    profile: str, advice: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    error = error_of(profile, monkeypatch)
    assert isinstance(error, AwsCredentialsMissing)
    assert advice in str(error)
    assert not [record for record in caplog.records if record.exc_info and record.levelno >= logging.WARNING]


@pytest.mark.parametrize("profile", ["session", "without-session"])
def test_the_model_has_the_same_advice_for_an_expired_session(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", profile)
    with pytest.raises(AwsCredentialsMissing, match="aws sso login"):
        AwsKeys(new_session("us-east-1")).frozen()


class Sts(LoopbackServer):
    """Refuses every request with an error code."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        body = f"<ErrorResponse><Error><Code>{self.code}</Code><Message>not today</Message></Error></ErrorResponse>"
        exchange.reply(403, body.encode(), {"content-type": "text/xml"})


@pytest.mark.parametrize("code", ["AccessDenied", "RegionDisabledException", "ExpiredTokenException"])
def test_a_role_that_cannot_be_assumed_is_no_fault_of_the_secret(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sts(code) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        error = error_of("role", monkeypatch)
    assert isinstance(error, AwsCredentialsMissing)
    assert code in str(error)


def test_an_endpoint_of_a_profile_that_is_not_a_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_of("endpoint", monkeypatch)
    assert isinstance(error, InvalidEndpoint)
    assert "localhost:4566" in str(error)


class SecretsManager(LoopbackServer):
    """Answers every request with a secret."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        exchange.reply(200, json.dumps({"SecretString": "x"}).encode())


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_aws_is_reached_with_the_hosts_own_ca(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_PROFILE", "keys")
    with by_tls(SecretsManager(), authority) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
        strip_environment(os.environ)
        assert isinstance(error_of("keys", monkeypatch), SecretUnavailable)
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        strip_environment(os.environ)
        response = new_session("us-east-1").client("secretsmanager").get_secret_value(SecretId="x")
    assert response["SecretString"] == "x"


def test_the_ca_of_a_profile_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    keys = "aws_access_key_id = AKIDOFTHISTEST\naws_secret_access_key = secret-of-this-test\n"
    (tmp_path / "config").write_text(f"[profile own-ca]\nca_bundle = {tmp_path}/ca.pem\n{keys}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    monkeypatch.setenv("AWS_PROFILE", "own-ca")
    with by_tls(SecretsManager(), authority) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
        strip_environment(os.environ)
        response = new_session("us-east-1").client("secretsmanager").get_secret_value(SecretId="x")
    assert response["SecretString"] == "x"


def test_awss_own_variable_wins() -> None:
    environment = {"SSL_CERT_FILE": "/a.pem", "AWS_CA_BUNDLE": "/b.pem"}
    strip_environment(environment)
    assert environment["AWS_CA_BUNDLE"] == "/b.pem"
    environment = {"SSL_CERT_FILE": "/a.pem", "REQUESTS_CA_BUNDLE": "/b.pem"}
    strip_environment(environment)
    assert "AWS_CA_BUNDLE" not in environment

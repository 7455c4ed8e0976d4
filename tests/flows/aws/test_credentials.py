"""AWS credentials from each source that boto3 reads, with the mistakes that operators make when they store them."""

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, CredentialRetrievalError
from prefect_aws import AwsCredentials
from pydantic import SecretStr

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.aws import credentials as aws_credentials
from flows.aws.credentials import AwsKeys, block_session, new_session
from flows.errors import AwsCredentialsMissing, InvalidCredential
from flows.redaction import SECRETS

KEYS = {"AccessKeyId": "AKIDOFTHISTEST", "SecretAccessKey": "secret-of-this-test", "SessionToken": "token-of-this-test"}
VARIABLES = {
    "AccessKeyId": "aws_access_key_id",
    "SecretAccessKey": "aws_secret_access_key",
    "SessionToken": "aws_session_token",
}

Make = Callable[[dict[str, str]], boto3.Session]


@pytest.fixture(autouse=True)
def no_other_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES.values():
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.fixture(params=["environment", "block", "process", "file"])
def make_session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    """Return a function that stores keys in one of the sources and returns a session that reads them."""

    def session(keys: dict[str, str]) -> boto3.Session:
        values = {VARIABLES[name]: value for name, value in keys.items()}
        if request.param == "block":
            secret = SecretStr(values.pop("aws_secret_access_key"))
            return block_session(AwsCredentials(aws_secret_access_key=secret, **values), "the block")
        if request.param == "environment":
            for name, value in values.items():
                monkeypatch.setenv(name.upper(), value)
        elif request.param == "file":
            lines = "".join(f"{name} = {value}\n" for name, value in values.items())
            (tmp_path / "credentials").write_text(f"[default]\n{lines}")
        else:
            configure_credential_process(tmp_path, keys)
        return new_session("eu-west-1")

    return session


def configure_credential_process(folder: Path, keys: dict[str, str], commands: str = "") -> None:
    """Configure a program that prints the keys, after some shell commands. They expire soon, so boto3 often runs it."""
    (folder / "keys.json").write_text(json.dumps({"Version": 1, **keys, "Expiration": "EXPIRES"}))
    program = folder / "keys.sh"
    expires = "$(date -u -d '+5 minutes' +%Y-%m-%dT%H:%M:%SZ)"
    program.write_text(f'#!/bin/sh\n{commands}\nsed "s/EXPIRES/{expires}/" {folder}/keys.json\n')
    program.chmod(0o755)
    (folder / "config").write_text(f"[default]\ncredential_process = {program}\n")


def signed_with(session: boto3.Session) -> tuple[str | None, str | None, str | None]:
    """Return the keys with which the clients of a session sign."""
    credentials = session.get_credentials()
    assert credentials
    keys = credentials.get_frozen_credentials()
    assert keys == AwsKeys(session).frozen()
    return keys.access_key, keys.secret_key, keys.token


@pytest.mark.parametrize("white_space", ["", "\n", "\r\n", " ", "\ufeff"])
def test_white_space_around_keys_is_removed_before_signing(make_session: Make, white_space: str) -> None:
    assert signed_with(make_session({name: f"{value}{white_space}" for name, value in KEYS.items()})) == tuple(
        KEYS.values()
    )
    assert {"the AWS secret access key", "the AWS session token"} <= SECRETS.found_in(" ".join(KEYS.values()))


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("character", ["\x1b", " ", "é", "\t"])
def test_keys_that_cannot_be_sent_are_refused_before_a_request_is_signed(
    make_session: Make, name: str, character: str
) -> None:
    check_refusal(make_session, name, character)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("make_session", ["block", "process"], indirect=True)
def test_keys_that_cannot_be_encoded_are_refused(make_session: Make, name: str) -> None:
    check_refusal(make_session, name, "\ud83d")


def check_refusal(make_session: Make, name: str, character: str) -> None:
    with pytest.raises(InvalidCredential) as raised:
        signed_with(make_session({**KEYS, name: f"hush{character}hash"}))
    assert not [fragment for fragment in ("hush", "hash") if fragment in str(raised.value)]
    assert "from the" in str(raised.value)


class SecretsManager(LoopbackServer):
    """A Secrets Manager without secrets."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        exchange.reply(200, b'{"SecretList": []}')


def test_a_client_of_the_session_sends_the_stripped_keys(make_session: Make) -> None:
    with SecretsManager() as server:
        session = make_session({name: f"{value}\n" for name, value in KEYS.items()})
        client = session.client("secretsmanager", region_name="eu-west-1", endpoint_url=server.url)
        assert client.list_secrets()["SecretList"] == []
    [request] = server.requests
    assert f"Credential={KEYS['AccessKeyId']}/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == KEYS["SessionToken"]


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ACCESS_KEY_ID": "only-the-id"},
        {"AWS_PROFILE": "no-such-profile"},
        {"AWS_PROFILE": "a-profile"},
    ],
)
def test_credentials_that_boto3_cannot_read_raise_a_named_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config").write_text("[profile a-profile]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = none\n")
    with pytest.raises(AwsCredentialsMissing):
        new_session("eu-west-1")


def test_a_renewal_that_fails_once_succeeds_on_the_next_try(tmp_path: Path) -> None:
    configure_credential_process(tmp_path, KEYS, f"[ -e {tmp_path}/fails ] && rm {tmp_path}/fails && exit 1")
    keys = AwsKeys(new_session("eu-west-1"))
    assert keys.frozen().access_key == KEYS["AccessKeyId"]
    (tmp_path / "fails").touch()
    with pytest.raises(CredentialRetrievalError):
        keys.frozen()
    assert keys.frozen().access_key == KEYS["AccessKeyId"]


def test_a_renewal_that_keeps_failing_raises_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_credential_process(tmp_path, KEYS, f"[ -e {tmp_path}/fails ] && exit 1")
    keys = AwsKeys(new_session("eu-west-1"))
    keys.frozen()
    (tmp_path / "fails").touch()
    with pytest.raises(CredentialRetrievalError):
        keys.frozen()
    monkeypatch.setattr(aws_credentials, "PATIENCE_SECONDS", 0)
    with pytest.raises(AwsCredentialsMissing):
        keys.frozen()


def test_a_network_error_is_transient_and_missing_credentials_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.Session(region_name="eu-west-1")
    with pytest.raises(AwsCredentialsMissing):
        AwsKeys(session).frozen()

    def fail() -> None:
        raise ConnectTimeoutError(endpoint_url="http://169.254.170.2")

    monkeypatch.setattr(session, "get_credentials", fail)
    with pytest.raises(ConnectTimeoutError):
        AwsKeys(session).frozen()

"""Providers read their credentials from the block's field first, and then from the process's environment."""

import pytest
from prefect_aws import AwsCredentials
from pydantic import SecretStr

from blocks import ClaudeCode
from flows.errors import ApiKeyMissing, AwsCredentialsMissing, InvalidCredential
from flows.model.providers import Anthropic, Bedrock, ModelProvider
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.redaction import SECRETS
from flows.run.setup import model_provider
from tests.support.loopback_provider import Loopback

ANTHROPIC, BEDROCK = ClaudeCodeOptions(provider="anthropic"), ClaudeCodeOptions(provider="bedrock")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


def key_of(provider: ModelProvider) -> str:
    return provider.signature("POST", "", "", b"")["x-api-key"]


def test_the_api_key_of_the_block_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-environment\n")
    assert key_of(model_provider(ANTHROPIC, None)) == "a-key-of-the-environment"
    assert key_of(model_provider(ANTHROPIC, ClaudeCode())) == "a-key-of-the-environment"
    assert (
        key_of(model_provider(ANTHROPIC, ClaudeCode(api_key=SecretStr(" a-key-of-the-block")))) == "a-key-of-the-block"
    )
    assert SECRETS.found_in("a-key-of-the-environment, a-key-of-the-block") == {"the Anthropic API key"}


def test_the_error_about_a_missing_key_names_the_places_to_set_it() -> None:
    with pytest.raises(
        ApiKeyMissing, match=r"^no API key for anthropic: set ANTHROPIC_API_KEY, or name a claude_code_b"
    ):
        model_provider(ANTHROPIC, ClaudeCode())
    with pytest.raises(ApiKeyMissing, match=r"^no API key for loopback: set LOOPBACK_API_KEY$"):
        Loopback.connect(None, "us-east-1", "a-model")


def test_the_error_about_an_invalid_key_names_its_source() -> None:
    with pytest.raises(InvalidCredential, match="Anthropic API key from the Claude Code block contains white space"):
        model_provider(ANTHROPIC, ClaudeCode(api_key=SecretStr("two words")))


def test_anthropics_address_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    block = ClaudeCode(api_key=SecretStr("a-key-of-the-block"))
    assert model_provider(ANTHROPIC, block).base_url == "https://api.anthropic.com"
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1/ \n")
    assert model_provider(ANTHROPIC, block).base_url == "http://127.0.0.1:1"


def test_each_provider_reads_its_own_field_of_the_block() -> None:
    keys = AwsCredentials(aws_access_key_id="AKIDOFTHEBLOCK", aws_secret_access_key=SecretStr("secret-of-the-block"))
    block = ClaudeCode(api_key=SecretStr("a-key-of-the-block"), aws_credentials=keys)
    bedrock, anthropic = model_provider(BEDROCK, block), model_provider(ANTHROPIC, block)
    assert isinstance(bedrock, Bedrock)
    assert isinstance(anthropic, Anthropic)
    assert "Credential=AKIDOFTHEBLOCK/" in bedrock.signature("POST", "https://host/", "", b"")["Authorization"]
    assert key_of(anthropic) == "a-key-of-the-block"


def test_missing_aws_credentials_for_bedrock_are_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    with pytest.raises(AwsCredentialsMissing, match="no AWS credentials for Bedrock"):
        model_provider(BEDROCK, ClaudeCode(api_key=SecretStr("a-key-of-the-block")))

"""The table of providers: each entry is complete, and the rest of the program depends on the table only."""

import re
from types import new_class
from typing import cast

import pytest
from pydantic import TypeAdapter, ValidationError

from blocks import ClaudeCode
from flows.agent.command import environment
from flows.model.prices import ModelPrice
from flows.model.providers import PROVIDERS, RegisteredProvider, providers_by_id
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.provider import DEFAULT_PROVIDER, Provider
from flows.run.setup import model_provider
from tests.support.loopback_provider import Loopback

FIELDS = ("id", "price_list_id", "block_field", "secret_variables")
METHODS = (
    "default_model_id",
    "connect",
    "agent_environment",
    "refusal_reason",
    "signature",
    "base_url",
    "smallest_request",
)


def test_the_form_lists_the_providers_in_the_order_of_the_table() -> None:
    assert TypeAdapter(Provider).json_schema() == {"enum": ["bedrock", "anthropic"], "type": "string"}
    assert next(iter(PROVIDERS)) == DEFAULT_PROVIDER


def provider_without(name: str) -> type[RegisteredProvider]:
    """Return a provider that defines all but one of the fields and methods."""
    members = {key: value for key, value in vars(Loopback).items() if key in {*FIELDS, *METHODS} - {name}}
    provider = new_class("Incomplete", (RegisteredProvider,), exec_body=lambda namespace: namespace.update(members))
    return cast("type[RegisteredProvider]", provider)


@pytest.mark.parametrize("name", [*FIELDS, *METHODS])
def test_an_incomplete_provider_is_rejected_when_the_table_is_imported(name: str) -> None:
    with pytest.raises(TypeError, match=f"^the provider Incomplete does not define {name}$"):
        providers_by_id(*PROVIDERS.values(), provider_without(name))


def test_a_complete_provider_is_accepted() -> None:
    assert providers_by_id(provider_without("nothing"))["loopback"].__name__ == "Incomplete"


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS.keys())
def test_the_block_field_and_the_prices_of_a_provider_exist(provider: type[RegisteredProvider]) -> None:
    assert provider.block_field in {"", *ClaudeCode.model_fields}
    for region in ("us-east-1", "eu-central-1", "ap-south-1", "us-gov-west-1", "ca-central-1"):
        assert ModelPrice.of(provider.id, provider.default_model_id(region)).is_known
    assert "http://127.0.0.1:1" in provider.agent_environment("http://127.0.0.1:1", "token").values()


@pytest.mark.parametrize(
    ("region", "model_id"),
    [
        ("us-east-1", "us.anthropic.claude-sonnet-5-5"),
        ("us-west-2", "us.anthropic.claude-sonnet-5-5"),
        ("us-gov-west-1", "us-gov.anthropic.claude-sonnet-5-5"),
        ("eu-central-1", "eu.anthropic.claude-sonnet-5-5"),
        ("ca-central-1", "us.anthropic.claude-sonnet-5-5"),
        ("ap-southeast-2", "au.anthropic.claude-sonnet-5-5"),
        ("ap-southeast-4", "au.anthropic.claude-sonnet-5-5"),
        ("ap-southeast-1", "global.anthropic.claude-sonnet-5-5"),
        ("ap-northeast-1", "global.anthropic.claude-sonnet-5-5"),
        ("sa-east-1", "global.anthropic.claude-sonnet-5-5"),
        ("me-central-1", "global.anthropic.claude-sonnet-5-5"),
    ],
)
def test_bedrocks_default_model_depends_on_the_region(region: str, model_id: str) -> None:
    assert ClaudeCodeOptions(aws_region=region).model_id == model_id
    assert ClaudeCodeOptions(provider="anthropic", aws_region=region).model_id == "claude-sonnet-5-5"


def test_a_provider_that_is_not_in_the_table_is_an_error() -> None:
    with pytest.raises(ValidationError, match=re.escape("Input should be 'bedrock' or 'anthropic'")):
        ClaudeCodeOptions(provider="vertex")
    options = ClaudeCodeOptions().model_copy(update={"provider": "vertex", "claude_model_id": "claude-sonnet-5-5"})
    with pytest.raises(KeyError):
        model_provider(options, None)
    with pytest.raises(KeyError):
        environment(options, "http://127.0.0.1:1", "token", {"HOME": "/home"}, {})
    with pytest.raises(KeyError):
        ModelPrice.of("vertex", "claude-sonnet-5-5")

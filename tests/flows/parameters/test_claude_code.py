"""The options of Claude Code in a run: the model id, and how a run's options override those of its block."""

from typing import Any

import pytest
from pydantic import ValidationError

from flows import errors
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.limits import Limits
from flows.parameters.provider import Provider


@pytest.mark.parametrize(
    ("provider", "model_id", "model"),
    [
        ("bedrock", "", "us.anthropic.claude-sonnet-5-5"),
        ("anthropic", "", "claude-sonnet-5-5"),
        ("bedrock", "eu.anthropic.claude-opus-5-5-v1:0", "eu.anthropic.claude-opus-5-5-v1:0"),
        ("anthropic", "claude-opus-5-5[1m]", "claude-opus-5-5[1m]"),
        ("bedrock", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x", None),
    ],
)
def test_an_empty_model_id_selects_the_providers_default(provider: Provider, model_id: str, model: str | None) -> None:
    assert ClaudeCodeOptions(provider=provider, claude_model_id=model_id).model_id == (model or model_id)


@pytest.mark.parametrize("model", ["-x", "--help", "a b", "a\n", "a;b", "$(x)", " ", "é", "a" * 2049])
def test_a_wrong_model_id_raises_its_named_error(model: str) -> None:
    with pytest.raises(errors.InvalidModelId, match="claude_model_id"):
        ClaudeCodeOptions(claude_model_id=model)


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ValidationError):
        ClaudeCodeOptions(provider="azure")


BLOCK = ClaudeCodeOptions(
    provider="anthropic",
    claude_model_id="block-model",
    aws_region="eu-west-1",
    claude_settings={"language": "de"},
    disable_prompt_cache=True,
    limits=Limits(max_turns=7, max_budget_usd=1.5, agent_timeout_seconds=60, stall_timeout_seconds=30),
)


def test_options_at_their_defaults_do_not_change_the_options_of_the_block() -> None:
    assert ClaudeCodeOptions().over(BLOCK) == BLOCK


@pytest.mark.parametrize(
    "own",
    [
        {"claude_model_id": "own-model"},
        {"aws_region": "us-west-2"},
        {"claude_settings": {"permissions": {"deny": ["WebFetch"]}}},
        {"claude_model_id": "own-model", "aws_region": "us-west-2"},
    ],
)
def test_only_options_that_differ_from_their_defaults_override_the_block(own: dict[str, Any]) -> None:
    assert ClaudeCodeOptions(**own).over(BLOCK).model_dump() == {**BLOCK.model_dump(), **own}


def test_options_override_a_block_at_its_defaults() -> None:
    assert BLOCK.over(ClaudeCodeOptions()) == BLOCK


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        (Limits(), Limits(max_turns=7, max_budget_usd=1.5, agent_timeout_seconds=60, stall_timeout_seconds=30)),
        (Limits(max_turns=9), BLOCK.limits.model_copy(update={"max_turns": 9})),
        (Limits(max_budget_usd=0), BLOCK.limits.model_copy(update={"max_budget_usd": 0.0})),
        (Limits(agent_timeout_seconds=1), BLOCK.limits.model_copy(update={"agent_timeout_seconds": 1})),
    ],
)  # fmt: skip
def test_each_limit_overrides_that_of_the_block_separately(own: Limits, merged: Limits) -> None:
    assert ClaudeCodeOptions(limits=own).over(BLOCK).limits == merged


def test_merging_changes_neither_the_options_nor_the_block() -> None:
    own, block = ClaudeCodeOptions(claude_model_id="own-model"), BLOCK.model_copy(deep=True)
    own.over(block)
    assert block == BLOCK
    assert own == ClaudeCodeOptions(claude_model_id="own-model")

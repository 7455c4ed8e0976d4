"""How Claude Code is to work, and the credentials of its model's provider, as a Prefect block."""

from typing import Any

from prefect.blocks.core import Block
from prefect_aws import AwsCredentials
from pydantic import Field, SecretStr

from flows.parameters.provider import DEFAULT_PROVIDER, Provider
from flows.parameters.request import DEFAULT_REGION, DEFAULT_SETTINGS, ClaudeCodeOptions, Limits


class ClaudeCode(Block):
    """Claude Code's provider, model, settings and limits, for the runs that name this block.

    A run's own parameters win where they differ from their defaults.

    Example:
        ```python
        from blocks import ClaudeCode

        ClaudeCode(provider="anthropic", api_key="…").save("team-default")
        ```
    """

    _block_type_name = "Claude Code"
    _block_type_slug = "claude-code"
    _logo_url = "https://cdn.simpleicons.org/claude"  # type: ignore[assignment]
    _documentation_url = "https://docs.claude.com/en/docs/claude-code/headless"  # type: ignore[assignment]

    provider: Provider = Field(
        default=DEFAULT_PROVIDER,
        title="Provider",
        description="Who serves the model: Amazon Bedrock, or Anthropic's API.",
    )
    claude_model_id: str = Field(
        default="", title="Model", description="The model's id, as the provider names it. Empty: the current Sonnet."
    )
    aws_region: str = Field(default=DEFAULT_REGION, title="AWS region", description="Where Bedrock is called.")
    claude_settings: dict[str, Any] = Field(
        default=DEFAULT_SETTINGS, title="Settings", description="Claude Code's settings: permissions above all."
    )
    limits: Limits = Field(default=Limits(), title="Limits", description="Where a run stops by itself.")
    api_key: SecretStr | None = Field(
        default=None,
        title="API key",
        description="Anthropic's API key. Empty: ANTHROPIC_API_KEY of the flow's process.",
    )
    aws_credentials: AwsCredentials | None = Field(
        default=None, title="AWS credentials", description="For Bedrock. Empty: the role or keys of the flow's process."
    )

    def options(self) -> ClaudeCodeOptions:
        """Return the options that this block sets."""
        return ClaudeCodeOptions(
            provider=self.provider,
            claude_model_id=self.claude_model_id,
            aws_region=self.aws_region,
            claude_settings=self.claude_settings,
            limits=self.limits,
        )

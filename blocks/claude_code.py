"""A Prefect block that stores options of Claude Code and the credentials for its model provider."""

from prefect.blocks.core import Block
from prefect_aws import AwsCredentials
from pydantic import Field, SecretStr

from flows.parameters.claude_code import ClaudeCodeDefaults, ClaudeCodeOptions


class ClaudeCode(Block, ClaudeCodeDefaults):
    """The model provider, model, settings and limits of Claude Code, for all runs that name this block.

    A parameter of a run overrides the block's value if the parameter differs from its default.

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

    api_key: SecretStr | None = Field(
        default=None,
        title="API key",
        description="Key for Anthropic's API. Leave it empty to use ANTHROPIC_API_KEY of the flow's process.",
    )
    aws_credentials: AwsCredentials | None = Field(
        default=None,
        title="AWS credentials",
        description="AWS credentials for Bedrock. Leave them empty to use the role or keys of the flow's process.",
    )

    def options(self) -> ClaudeCodeOptions:
        """Return the options of Claude Code that this block stores, without the credentials."""
        return ClaudeCodeOptions(**{name: getattr(self, name) for name in ClaudeCodeDefaults.model_fields})

"""A Prefect block that stores options of Claude Code and the credentials for its model provider."""

from typing import Any, Self

from prefect.blocks.core import Block
from prefect.types import SecretDict
from prefect_aws import AwsCredentials
from pydantic import ConfigDict, Field, SecretStr, model_validator

from flows.errors import BlockNotForRepository, InvalidBlock, InvalidGitSecret
from flows.parameters.addresses import RepoUrl
from flows.parameters.agent_environment import AGENT_ENVIRONMENT, checked_variables
from flows.parameters.claude_code import ClaudeCodeDefaults, ClaudeCodeOptions
from flows.parameters.mcp_servers import MCP_SERVERS, checked_servers, secrets_of
from flows.repository.binding import Binding

_SOURCE = "the Claude Code block"


class ClaudeCode(Block, ClaudeCodeDefaults):
    """The model provider, model, settings and limits of Claude Code, for all runs that name this block.

    A parameter of a run overrides the block's value if the parameter differs from its default. A block with
    `agent_environment` or `mcp_servers` lists the repositories that it is for, and no run on another repository can use
    it.

    Example:
        ```python
        from blocks import ClaudeCode

        ClaudeCode(provider="anthropic", api_key="…").save("team-default")
        ```
    """

    model_config = ConfigDict(hide_input_in_errors=True)

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

    agent_environment: SecretDict | None = Field(
        default=None,
        title="Secrets for the agent",
        description='Secrets for the agent as environment variables: a JSON object such as {"NPM_TOKEN": "…"}. The '
        "agent can read them. They are redacted everywhere, and never pushed. They need a list of repositories.",
    )
    mcp_servers: SecretDict | None = Field(
        default=None,
        title="MCP servers",
        description="MCP servers whose tools the agent may use, in Claude Code's form: a JSON object such as "
        '{"tickets": {"type": "http", "url": "https://…", "headers": {"Authorization": "Bearer …"}}}. The agent can '
        "read them. Values of env and headers are redacted everywhere, and never pushed. They need a list of "
        "repositories.",
    )
    repositories: list[str] | None = Field(
        default=None,
        title="Repositories",
        description="Repositories that runs with this block may work on, such as https://github.com/your-org/*. If no "
        "repositories are set, the block is for any repository, and must have neither secrets for the agent nor MCP "
        "servers.",
    )

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        self._binding()
        for field, values in self._values_for_agent().items():
            if self.api_key and any(self.api_key == value for value in values.values()):
                raise InvalidBlock(f"{_SOURCE} has its API key in {field} too: the agent must not get this key")
        for field, content in {AGENT_ENVIRONMENT: self.agent_variables(), MCP_SERVERS: self.servers()}.items():
            if content and self.repositories is None:
                raise InvalidBlock(
                    f"{_SOURCE} has {field}, but does not list the repositories that it is for: fill in repositories, "
                    "such as https://github.com/your-org/*"
                )
        return self

    def agent_variables(self) -> dict[str, SecretStr]:
        """Return the variables in `agent_environment`; raise `InvalidBlock` if one is unusable."""
        values = self.agent_environment.get_secret_value() if self.agent_environment else {}
        return checked_variables(values)

    def servers(self) -> dict[str, dict[str, Any]]:
        """Return the servers in `mcp_servers`; raise `InvalidBlock` if one is unusable. They contain secrets."""
        values = self.mcp_servers.get_secret_value() if self.mcp_servers else {}
        return checked_servers(values)

    def agent_secrets(self) -> dict[str, SecretStr]:
        """Return all secrets that the agent gets from this block, by what they are called."""
        return {
            f"{name} of {field}": value
            for field, values in self._values_for_agent().items()
            for name, value in values.items()
        }

    def _values_for_agent(self) -> dict[str, dict[str, SecretStr]]:
        return {AGENT_ENVIRONMENT: self.agent_variables(), MCP_SERVERS: secrets_of(self.servers())}

    def check_repository(self, url: RepoUrl) -> None:
        """Raise `BlockNotForRepository` if the block lists repositories, and this one is not among them."""
        binding = self._binding()
        if not binding.allows(url):
            raise BlockNotForRepository(
                f"{_SOURCE} is not for {url}, but only for {binding}: use another block, or have the block's owner add "
                "the repository to its list"
            )

    def _binding(self) -> Binding:
        try:
            return Binding.parse({} if self.repositories is None else {"repositories": self.repositories}, _SOURCE)
        except InvalidGitSecret as error:
            raise InvalidBlock(str(error)) from None

    def options(self) -> ClaudeCodeOptions:
        """Return the options of Claude Code that this block stores, without the credentials."""
        return ClaudeCodeOptions(**{name: getattr(self, name) for name in ClaudeCodeDefaults.model_fields})

"""The parameters of Claude Code that a run and a `ClaudeCode` block share."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from flows.errors import InvalidModelId
from flows.parameters.claude_settings import DEFAULT_SETTINGS, parse_settings
from flows.parameters.fields import Variable, form_pattern
from flows.parameters.limits import Limits
from flows.parameters.provider import DEFAULT_PROVIDER, Provider, default_model_id
from flows.parameters.shared import DEFAULT_REGION, AwsRegion, matches

_MODEL_ID_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_.:/\[\]-]{0,2047}"

ModelProvider = Annotated[
    Provider,
    Variable("CLAUDE_PROVIDER"),
    Field(
        title="Model provider",
        description="Service that runs the model: Amazon Bedrock or Anthropic's own API.",
    ),
]
ModelId = Annotated[
    str,
    matches(
        f"|{_MODEL_ID_PATTERN}",
        InvalidModelId,
        "claude_model_id {value!r} is not a model id: leave it empty for the current Claude Sonnet of the region, "
        f"which is {default_model_id('bedrock', 'us-east-1')} on Bedrock in the US, and "
        f"{default_model_id('bedrock', 'eu-central-1')} in Europe",
    ),
    form_pattern("a model id", f"|{_MODEL_ID_PATTERN}"),
    Field(
        title="Model",
        description="Id of the model, as the provider writes it. Leave it empty to use the current Claude Sonnet.",
    ),
]
Effort = Annotated[
    Literal["", "low", "medium", "high", "xhigh", "max"],
    Field(
        title="Effort",
        description="How much the model thinks before it acts. More costs more. Leave it empty to use the model's "
        "default.",
    ),
]
RunLimits = Annotated[
    Limits,
    Field(
        title="Limits of the run",
        description="Limits on the run's turns, cost and time. The run stops when it reaches one of them.",
    ),
]
ClaudeSettings = Annotated[
    dict[str, Any],
    Variable(read=parse_settings),
    Field(
        title="Claude Code settings",
        description="Claude Code's settings as a JSON object. They include the tools that Claude Code may use.",
    ),
]
DisablePromptCache = Annotated[
    bool,
    Field(
        title="Disable the prompt cache",
        description="Turn off the provider's prompt cache. The run then costs more.",
    ),
]


class ClaudeCodeDefaults(BaseModel):
    """The options in a `ClaudeCode` block, without the block's credentials. `claude_settings` is not checked here."""

    provider: ModelProvider = DEFAULT_PROVIDER
    claude_model_id: ModelId = ""
    aws_region: Annotated[AwsRegion, Field(description="AWS region in which Bedrock is called.")] = DEFAULT_REGION
    claude_settings: ClaudeSettings = DEFAULT_SETTINGS
    limits: RunLimits = Limits()
    effort: Effort = ""


class ClaudeCodeOptions(ClaudeCodeDefaults):
    """The options of Claude Code in one run. The value of `claude_settings` is not checked here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disable_prompt_cache: DisablePromptCache = False

    @property
    def model_id(self) -> str:
        """The id of the run's model: `claude_model_id`, or the provider's default if the parameter is empty."""
        return self.claude_model_id or default_model_id(self.provider, self.aws_region)

    def over(self, base: Self) -> Self:
        """Return a copy of `base` with each option of this object that does not have its default value."""
        limits = base.limits.model_copy(update=self.limits.model_dump(exclude_defaults=True))
        return base.model_copy(update=self.model_dump(exclude_defaults=True) | {"limits": limits})

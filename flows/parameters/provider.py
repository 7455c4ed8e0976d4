"""The providers of models that a run can name, and the model of each that an empty `claude_model_id` means."""

from typing import Final, Literal

Provider = Literal["bedrock", "anthropic"]

DEFAULT_PROVIDER: Final[Provider] = "bedrock"

DEFAULT_MODEL_IDS: Final[dict[Provider, str]] = {
    "bedrock": "us.anthropic.claude-sonnet-5-5",
    "anthropic": "claude-sonnet-5-5",
}
"""The current Claude Sonnet, by each provider's id for it."""

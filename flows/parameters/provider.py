"""The providers of models that a run can name, and the model of each that an empty `claude_model_id` means."""

from typing import TYPE_CHECKING, Final, Literal

from flows.model.providers import PROVIDERS

if TYPE_CHECKING:
    Provider = str
else:
    Provider = Literal[tuple(PROVIDERS)]
    """The form offers these values. Type checkers cannot read them from the table."""

DEFAULT_PROVIDER: Final[Provider] = "bedrock"
_REGION: Final = "us-east-1"

DEFAULT_MODEL_IDS: Final[dict[Provider, str]] = {
    name: provider.default_model_id(_REGION) for name, provider in PROVIDERS.items()
}
"""The current Claude Sonnet, by each provider's id for it in the default region."""


def default_model_id(provider: Provider, region: str) -> str:
    """Return the model that an empty `claude_model_id` means in an AWS region."""
    return PROVIDERS[provider].default_model_id(region)

"""The model providers that a run can choose, and the default model of each."""

from typing import TYPE_CHECKING, Final, Literal

from flows.model.providers import PROVIDERS

if TYPE_CHECKING:
    Provider = str
else:
    Provider = Literal[tuple(PROVIDERS)]
    """The form offers these values. A type checker cannot read them from the table, so it sees `str` instead."""

DEFAULT_PROVIDER: Final[Provider] = "bedrock"
_REGION: Final = "us-east-1"

DEFAULT_MODEL_IDS: Final[dict[Provider, str]] = {
    name: provider.default_model_id(_REGION) for name, provider in PROVIDERS.items()
}
"""The id of each provider's default model: the current Claude Sonnet, in the default region."""


def default_model_id(provider: Provider, region: str) -> str:
    """Return the id of the model that an empty `claude_model_id` selects, for a provider and an AWS region."""
    return PROVIDERS[provider].default_model_id(region)

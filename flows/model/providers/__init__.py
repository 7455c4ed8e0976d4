"""The model providers that a run can choose: a class for each provider, and the table `PROVIDERS`."""

from typing import Final

from flows.model.providers.anthropic import Anthropic
from flows.model.providers.base import ModelProvider, RegisteredProvider, providers_by_id
from flows.model.providers.bedrock import Bedrock

__all__ = ["PROVIDERS", "Anthropic", "Bedrock", "ModelProvider", "RegisteredProvider", "providers_by_id"]

PROVIDERS: Final = providers_by_id(Bedrock, Anthropic)
"""The providers by id, in the order of the form. To add a provider, import its class and add it to this line."""

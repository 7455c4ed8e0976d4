"""Lists the model providers that a run can choose: a class for each provider, and the table `PROVIDERS` of classes."""

from typing import Final

from flows.model.providers.anthropic import Anthropic
from flows.model.providers.base import ModelProvider, RegisteredProvider, providers_by_id
from flows.model.providers.bedrock import Bedrock

__all__ = ["PROVIDERS", "Anthropic", "Bedrock", "ModelProvider", "RegisteredProvider", "providers_by_id"]

PROVIDERS: Final = providers_by_id(Bedrock, Anthropic)
"""The provider classes by id, in the order of the form in Prefect. To add one, import its class and add it here."""

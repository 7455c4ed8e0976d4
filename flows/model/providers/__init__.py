"""The providers of models that a run can choose: one class each, and `PROVIDERS`, which names them all."""

from typing import Final

from flows.model.providers.anthropic import Anthropic
from flows.model.providers.base import ModelProvider, RegisteredProvider, registered
from flows.model.providers.bedrock import Bedrock

__all__ = ["PROVIDERS", "Anthropic", "Bedrock", "ModelProvider", "RegisteredProvider", "registered"]

PROVIDERS: Final = registered(Bedrock, Anthropic)
"""By id, in the order of the form. A new provider is a module here, and its class in this line."""

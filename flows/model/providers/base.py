"""Defines the interface of a model provider: what the table `PROVIDERS` needs of it, and what the gateway calls."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self

from pydantic import SecretStr

from flows.credential_values import usable
from flows.errors import ApiKeyMissing
from flows.redaction import SECRETS

ONE_TOKEN: Final[Mapping[str, Any]] = {"max_tokens": 1, "messages": [{"role": "user", "content": "Reply: ok"}]}
"""The fields of a request for a reply of one token that are the same for every provider."""

ONLY_MESSAGES: Final = "this gateway forwards only messages to the model"
_ONLY_THIS_MODEL: Final = "this gateway forwards only requests for the run's own model"
_REFUSED_FIELDS: Final = frozenset({"container", "inference_geo", "mcp_servers", "service_tier", "speed"})
"""Fields with which the gateway refuses a request, because they cost extra or let the provider connect to other servers
for the agent. Claude Code does not send them, but other programs in the agent's shell could."""


class ModelProvider(Protocol):
    """A model provider with its credentials, as far as the gateway uses it."""

    @property
    @abstractmethod
    def base_url(self) -> str:
        """The scheme, host name and port of the provider's API, as a URL."""

    @abstractmethod
    def refusal_reason(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return why a run may not make this request, or "" if it may. `path` is percent-encoded, without the query."""

    @abstractmethod
    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers that authenticate this request.

        Raises:
            RunError: The credentials cannot be used, and signing again would not help.
            Exception: Signing failed for another reason, and signing again may succeed.
        """


class RegisteredProvider(ModelProvider, ABC):
    """The base class of the providers that a run can choose. A subclass holds all that is specific to one provider.

    `providers_by_id` rejects a subclass that does not define all class variables and abstract methods.
    """

    id: ClassVar[str]
    """The value of a run's parameter `provider` that chooses this provider."""
    price_list_id: ClassVar[str]
    """The provider's id in the price list of the package genai-prices."""
    block_field: ClassVar[str]
    """The field of the `ClaudeCode` block with the provider's credentials; empty if the block has no such field."""
    secret_variables: ClassVar[tuple[str, ...]]
    """Environment variables that hold the provider's secrets. Every run redacts them, whichever provider it uses."""

    @classmethod
    @abstractmethod
    def default_model_id(cls, region: str) -> str:
        """Return the id of the current Claude Sonnet for requests in an AWS region."""

    @classmethod
    @abstractmethod
    def connect(cls, block_value: Any, region: str, model_id: str) -> Self:  # noqa: ANN401 (the type of its block field)
        """Return the provider with its credentials for one run. Only a server that issues the credentials is called.

        Args:
            block_value: The value of `block_field`; None if the run has no block or the block lacks these credentials.
            region: The AWS region of the run.
            model_id: The only model that the run may use.

        Raises:
            RunError: The credentials are missing or cannot be used.
        """

    @abstractmethod
    def smallest_request(self) -> tuple[str, Mapping[str, str], bytes]:
        """Return path, headers and body of a request for one token. Its reply shows whether the model can be used."""

    @staticmethod
    @abstractmethod
    def agent_environment(gateway_url: str, gateway_token: str) -> dict[str, str]:
        """Return the environment variables that make Claude Code call this provider through the gateway."""


def providers_by_id(*providers: type[RegisteredProvider]) -> dict[str, type[RegisteredProvider]]:
    """Return the provider classes by id, in the order of the arguments.

    Raises:
        TypeError: A provider does not define all class variables and abstract methods.
    """
    for provider in providers:
        missing_variables = [name for name in RegisteredProvider.__annotations__ if not hasattr(provider, name)]
        if missing := [*missing_variables, *sorted(provider.__abstractmethods__)]:
            raise TypeError(f"the provider {provider.__name__} does not define {', '.join(missing)}")
    return {provider.id: provider for provider in providers}


def message_refusal_reason(body: Any, requested_model: object, model_id: str) -> str:  # noqa: ANN401 (JSON)
    """Return why a run may not send this message, or "" if it may.

    Args:
        body: The parsed JSON of the request.
        requested_model: The model that the request asks for.
        model_id: The only model that the run may use.
    """
    if not isinstance(body, dict):
        return "the request is not a JSON object"
    if refused_fields := sorted(_REFUSED_FIELDS & body.keys()):
        return f"this gateway does not forward requests with the field {refused_fields[0]!r}"
    # The suffix "[1m]" asks Claude Code for the long context. It is not part of the model's name in the API.
    return "" if requested_model == model_id.removesuffix("[1m]") else _ONLY_THIS_MODEL


def find_api_key(
    provider: type[RegisteredProvider], name: str, variable: str, block_value: SecretStr | None
) -> SecretStr:
    """Return the API key from the block or, if it has none, from the environment. Both are registered for redaction.

    Args:
        provider: The provider that accepts the key.
        name: The key's name in messages, such as "the Anthropic API key".
        variable: The environment variable that may hold the key.
        block_value: The key in the `ClaudeCode` block; None if there is no block or no key in it.

    Raises:
        ApiKeyMissing: Neither the block nor the environment holds a key.
        InvalidCredential: The key holds characters that an HTTP header cannot carry.
    """
    in_block = block_value.get_secret_value() if block_value else ""
    in_environment = os.environ.get(variable, "")
    for value in (in_block, in_environment):
        SECRETS.learn(name, value)
    key = usable(in_block, name, "the Claude Code block") or usable(
        in_environment, name, f"the environment variable {variable}"
    )
    if not key:
        block = ", or name a claude_code_block that has one" if provider.block_field else ""
        raise ApiKeyMissing(f"no API key for {provider.id}: set {variable}{block}")
    return SecretStr(key)

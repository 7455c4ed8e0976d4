"""What a provider of models consists of: its row in `PROVIDERS`, and what the gateway needs during a run."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self

from pydantic import SecretStr

from flows.credential_values import usable
from flows.errors import ApiKeyMissing
from flows.redaction import SECRETS

ONE_TOKEN: Final[Mapping[str, Any]] = {"max_tokens": 1, "messages": [{"role": "user", "content": "Reply: ok"}]}
"""The fields of a message that both APIs share, in the smallest request."""

ONLY_MESSAGES: Final = "this gateway forwards messages to the model, and nothing else"
_ONLY_THIS_MODEL: Final = "this gateway forwards requests for the run's own model, and for no other"
_REFUSED_FIELDS: Final = frozenset({"container", "inference_geo", "mcp_servers", "service_tier", "speed"})
"""Fields of a message that cost extra, or let the provider connect to other hosts for the agent. Claude Code sends none
of them. Other programs in the agent's shell could."""


class ModelProvider(Protocol):
    """A provider with the trusted side's credentials for it, as the gateway uses it."""

    @property
    @abstractmethod
    def base_url(self) -> str:
        """Scheme, host and port of its API."""

    @abstractmethod
    def refuses(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return why a run may not make this request, or "" if it may; `path` is as sent, without a query."""

    @abstractmethod
    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers that authenticate this request.

        Raises:
            RunError: The credentials cannot be used, and another try would not help.
            Exception: Another try may succeed.
        """

    @abstractmethod
    def smallest_request(self) -> tuple[str, Mapping[str, str], bytes]:
        """Return path, headers and body of a request for one token, which shows whether the model can be used."""


class RegisteredProvider(ModelProvider, ABC):
    """A provider that runs can choose. A subclass is all that the program knows of it.

    `PROVIDERS` refuses a subclass that leaves out one of the class variables or abstract methods.
    """

    id: ClassVar[str]
    """The value of the parameter `provider`."""
    price_list_id: ClassVar[str]
    """Its id in the price list of genai-prices."""
    block_field: ClassVar[str]
    """The field of the `ClaudeCode` block that holds its credentials; empty if the block has none."""
    secret_variables: ClassVar[tuple[str, ...]]
    """Environment variables with its secrets. Every run redacts their values, whichever provider it uses."""

    @classmethod
    @abstractmethod
    def default_model_id(cls, region: str) -> str:
        """Return the id of the current Claude Sonnet, for an AWS region."""

    @classmethod
    @abstractmethod
    def connect(cls, block_value: Any, region: str, model_id: str) -> Self:  # noqa: ANN401 (its block field's type)
        """Return the provider for one run. No server is called, unless the credentials come from one.

        Args:
            block_value: The value of `block_field`; none if the run has no block, or the block no such credentials.
            region: The AWS region of the run.
            model_id: The only model that the run may use.

        Raises:
            RunError: The credentials are missing, or cannot be used.
        """

    @staticmethod
    @abstractmethod
    def agent_environment(gateway_url: str, gateway_token: str) -> dict[str, str]:
        """Return the variables with which Claude Code calls this provider through the gateway."""


def registered(*providers: type[RegisteredProvider]) -> dict[str, type[RegisteredProvider]]:
    """Return providers by id; raise `TypeError` for one that is incomplete."""
    for provider in providers:
        absent = [name for name in RegisteredProvider.__annotations__ if not hasattr(provider, name)]
        if missing := [*absent, *sorted(provider.__abstractmethods__)]:
            raise TypeError(f"the provider {provider.__name__} does not define {', '.join(missing)}")
    return {provider.id: provider for provider in providers}


def refuses_message(body: Any, requested_model: object, model_id: str) -> str:  # noqa: ANN401 (JSON)
    """Return why a run may not send this message, or "" if it may.

    Args:
        body: The request's JSON.
        requested_model: The model that the request names.
        model_id: The run's own model.
    """
    if not isinstance(body, dict):
        return "the request is not a JSON object"
    if refused := sorted(_REFUSED_FIELDS & body.keys()):
        return f"this gateway does not forward requests with {refused[0]!r}"
    # "[1m]" asks Claude Code for the long context. The API's name of the model has no such ending.
    return "" if requested_model == model_id.removesuffix("[1m]") else _ONLY_THIS_MODEL


def find_api_key(
    provider: type[RegisteredProvider], name: str, variable: str, block_value: SecretStr | None
) -> SecretStr:
    """Return the API key from the block or, if that has none, from the environment. It is redacted from now on.

    Args:
        provider: The key's provider.
        name: What messages call the key, such as "the Anthropic API key".
        variable: The environment variable that can hold it.
        block_value: The key in the `ClaudeCode` block.

    Raises:
        ApiKeyMissing: There is none.
        InvalidCredential: No HTTP header can carry it.
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

"""Defines Anthropic's API (https://docs.claude.com/en/api/messages), or a proxy that offers it, as a model provider."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from flows.model.providers.base import (
    ONE_TOKEN,
    ONLY_MESSAGES,
    RegisteredProvider,
    find_api_key,
    message_refusal_reason,
)
from flows.redaction import SECRETS, strip

if TYPE_CHECKING:
    from pydantic import SecretStr

_URL: Final = "https://api.anthropic.com"
_API_VERSION: Final = "2023-06-01"
_KEY: Final = "the Anthropic API key"
_PATHS: Final = frozenset({"/v1/messages", "/v1/messages/count_tokens"})


@dataclass(frozen=True)
class Anthropic(RegisteredProvider):
    """The provider `anthropic`: Anthropic's API, used with one API key."""

    id: ClassVar[str] = "anthropic"
    price_list_id: ClassVar[str] = "anthropic"
    block_field: ClassVar[str] = "api_key"
    secret_variables: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")

    api_key: "SecretStr"
    model_id: str
    base_url: str = _URL

    @classmethod
    def default_model_id(cls, region: str) -> str:
        """Return the id of the current Claude Sonnet, which is the same in every region."""
        del region
        return "claude-sonnet-5-5"

    @classmethod
    def connect(cls, block_value: "SecretStr | None", region: str, model_id: str) -> Self:
        """Return the provider. The key is from the block or ANTHROPIC_API_KEY; ANTHROPIC_BASE_URL may set the URL."""
        del region
        key = find_api_key(cls, _KEY, "ANTHROPIC_API_KEY", block_value)
        url = strip(os.environ.get("ANTHROPIC_BASE_URL", "")) or _URL
        return cls(key, model_id, url.rstrip("/"))

    @staticmethod
    def agent_environment(gateway_url: str, gateway_token: str) -> dict[str, str]:
        """Return variables with the gateway's URL and token for Claude Code, which does not start without a token."""
        return {"ANTHROPIC_BASE_URL": gateway_url, "ANTHROPIC_AUTH_TOKEN": gateway_token}

    def refusal_reason(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return why a request must be refused; "" if it is an allowed one: a message to the run's own model."""
        if method != "POST" or path not in _PATHS:
            return ONLY_MESSAGES
        return message_refusal_reason(body, body.get("model") if isinstance(body, dict) else None, self.model_id)

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the HTTP header with the API key, which authenticates a request."""
        del method, url, content_type, body
        SECRETS.learn(_KEY, self.api_key.get_secret_value())
        return {"x-api-key": self.api_key.get_secret_value()}

    def smallest_request(self) -> tuple[str, Mapping[str, str], bytes]:
        """Return the path, headers and body of a request for a reply of one token."""
        body = json.dumps({"model": self.model_id.removesuffix("[1m]"), **ONE_TOKEN}).encode()
        return "/v1/messages", {"anthropic-version": _API_VERSION}, body

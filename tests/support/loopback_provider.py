"""A made-up provider, "loopback": Anthropic's API with its own key variable and its own header.

Run as a program, this module adds the provider to the table and then runs `python -m flows`.
"""

import json
import os
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import SecretStr

from flows.model.providers import PROVIDERS, RegisteredProvider, providers_by_id
from flows.model.providers.base import ONE_TOKEN, ONLY_MESSAGES, find_api_key, message_refusal_reason

HEADER = "x-loopback-key"


@dataclass(frozen=True)
class Loopback(RegisteredProvider):
    id: ClassVar[str] = "loopback"
    price_list_id: ClassVar[str] = "anthropic"
    block_field: ClassVar[str] = ""
    secret_variables: ClassVar[tuple[str, ...]] = ("LOOPBACK_API_KEY",)

    key: SecretStr
    model_id: str
    url: str

    @classmethod
    def default_model_id(cls, region: str) -> str:
        del region
        return "claude-sonnet-5-5"

    @classmethod
    def connect(cls, block_value: None, region: str, model_id: str) -> Self:
        del region
        key = find_api_key(cls, "the loopback API key", "LOOPBACK_API_KEY", block_value)
        return cls(key, model_id, os.environ["LOOPBACK_URL"])

    @staticmethod
    def agent_environment(gateway_url: str, gateway_token: str) -> dict[str, str]:
        return {"ANTHROPIC_BASE_URL": gateway_url, "ANTHROPIC_AUTH_TOKEN": gateway_token}

    @property
    def base_url(self) -> str:
        return self.url

    def refusal_reason(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        if (method, path) != ("POST", "/v1/messages"):
            return ONLY_MESSAGES
        return message_refusal_reason(body, body.get("model"), self.model_id)

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        del method, url, content_type, body
        return {HEADER: self.key.get_secret_value()}

    def smallest_request(self) -> tuple[str, Mapping[str, str], bytes]:
        return "/v1/messages", {}, json.dumps({"model": self.model_id, **ONE_TOKEN}).encode()


if __name__ == "__main__":
    # Add it before the parameters are imported: their type lists the ids in the table.
    PROVIDERS.update(providers_by_id(Loopback))
    runpy.run_module("flows", run_name="__main__", alter_sys=True)

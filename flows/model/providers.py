"""The model's providers, as the gateway calls them: which requests a run may make, and how they are signed.

Anthropic: https://docs.claude.com/en/api/messages. Bedrock: InvokeModel and InvokeModelWithResponseStream of
https://docs.aws.amazon.com/bedrock/latest/APIReference, signed with AWS Signature Version 4.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote

from flows.aws.credentials import AwsKeys
from flows.redaction import SECRETS

if TYPE_CHECKING:
    from boto3 import Session
    from pydantic import SecretStr

ANTHROPIC_URL: Final = "https://api.anthropic.com"
_BEDROCK_PATH: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)")

_ONLY_MESSAGES: Final = "this gateway lets messages to the model through, and nothing else"
_ONLY_MODEL: Final = "this gateway lets the run's own model through, and no other"
_NOT_ASKED_FOR: Final = frozenset({"container", "inference_geo", "mcp_servers", "service_tier", "speed"})
"""Fields of a message that cost extra, or have the provider reach out on the agent's behalf. Claude Code sends none of
them, but whoever drives the agent's shell might."""


def _api_model_id(model_id: str) -> str:
    """Return the model's name for the API: "[1m]" asks Claude Code for the long context."""
    return model_id.removesuffix("[1m]")


def _refuses_body(body: Any) -> str:  # noqa: ANN401 (JSON)
    if not isinstance(body, dict):
        return "the request is not a JSON object"
    extra = sorted(_NOT_ASKED_FOR & body.keys())
    return f"this gateway does not let {extra[0]!r} through" if extra else ""


class ModelProvider(Protocol):
    """One provider, with the trusted side's credentials for it."""

    @property
    def base_url(self) -> str:
        """Scheme, host and port of its API."""

    def refuses(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return why a run may not make this request, and "" if it may; `path` is as on the wire, without a query."""

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers that prove who asks.

        Raises:
            RunError: The credentials cannot be used, and another try would not help.
            Exception: Another try may succeed.
        """


@dataclass(frozen=True)
class Anthropic:
    """The Anthropic API, or a proxy that speaks like it."""

    api_key: "SecretStr"
    model_id: str
    base_url: str = ANTHROPIC_URL

    def refuses(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        """Let messages to the run's own model through, and nothing else."""
        if method != "POST" or path not in {"/v1/messages", "/v1/messages/count_tokens"}:
            return _ONLY_MESSAGES
        return _refuses_body(body) or ("" if body.get("model") == _api_model_id(self.model_id) else _ONLY_MODEL)

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """The API key."""
        del method, url, content_type, body
        SECRETS.learn("the Anthropic API key", self.api_key.get_secret_value())
        return {"x-api-key": self.api_key.get_secret_value()}


@dataclass(frozen=True)
class Bedrock:
    """Amazon Bedrock's runtime, with the session's refreshable credentials."""

    session: "Session"
    region: str
    model_id: str

    @property
    def base_url(self) -> str:
        """The endpoint that boto3 would use: the region's, or what AWS_ENDPOINT_URL_BEDROCK_RUNTIME says."""
        client = self.session.client("bedrock-runtime", region_name=self.region)
        return str(client.meta.endpoint_url).rstrip("/")

    @cached_property
    def _keys(self) -> AwsKeys:
        return AwsKeys(self.session)

    def refuses(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        """Let invocations of the run's own model through, and nothing else."""
        asked = _BEDROCK_PATH.fullmatch(path)
        if method != "POST" or asked is None:
            return _ONLY_MESSAGES
        return _refuses_body(body) or ("" if unquote(asked[1]) == _api_model_id(self.model_id) else _ONLY_MODEL)

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Signature Version 4, over this request alone."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415 (only Bedrock runs pay for botocore)
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        frozen = self._keys.frozen()
        request = AWSRequest(method=method, url=url, data=body, headers={"content-type": content_type})
        SigV4Auth(frozen, "bedrock", self.region).add_auth(request)
        return dict(request.headers.items())

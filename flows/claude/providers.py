"""The model's providers, as the gateway calls them: which requests a run may make, and how they are signed.

Anthropic: https://docs.claude.com/en/api/messages. Bedrock: InvokeModel and InvokeModelWithResponseStream of
https://docs.aws.amazon.com/bedrock/latest/APIReference, signed with AWS Signature Version 4.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote

from flows.errors import AwsCredentialsMissing

if TYPE_CHECKING:
    from boto3 import Session
    from pydantic import SecretStr

ANTHROPIC_URL: Final = "https://api.anthropic.com"
_BEDROCK_PATH: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)")


class ModelProvider(Protocol):
    """One provider, with the trusted side's credentials for it."""

    @property
    def base_url(self) -> str:
        """Scheme, host and port of its API."""

    def admits(self, method: str, path: str, body: bytes) -> bool:
        """Whether a run may make this request: `path` as it is on the wire, without a query."""

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return the headers that prove who asks."""


@dataclass(frozen=True)
class Anthropic:
    """The Anthropic API, or a proxy that speaks like it."""

    api_key: "SecretStr"
    model_id: str
    base_url: str = ANTHROPIC_URL

    def admits(self, method: str, path: str, body: bytes) -> bool:
        """Messages to the run's own model only."""
        if method != "POST" or path not in {"/v1/messages", "/v1/messages/count_tokens"}:
            return False
        try:
            asked = json.loads(body)
        except ValueError:
            return False
        # "[1m]" asks Claude Code for the model's long context; the API knows the name without it.
        return isinstance(asked, dict) and asked.get("model") == self.model_id.removesuffix("[1m]")

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """The API key."""
        del method, url, content_type, body
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

    def admits(self, method: str, path: str, body: bytes) -> bool:
        """Invocations of the run's own model only."""
        del body
        asked = _BEDROCK_PATH.fullmatch(path)
        return method == "POST" and asked is not None and unquote(asked[1]) == self.model_id.removesuffix("[1m]")

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Signature Version 4, over this request alone."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415 (only Bedrock runs pay for botocore)
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        credentials = self.session.get_credentials()
        if credentials is None:
            raise AwsCredentialsMissing("no AWS credentials for Bedrock")
        request = AWSRequest(method=method, url=url, data=body, headers={"content-type": content_type})
        SigV4Auth(credentials.get_frozen_credentials(), "bedrock", self.region).add_auth(request)
        return dict(request.headers.items())

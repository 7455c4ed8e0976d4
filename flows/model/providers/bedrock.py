"""Defines Amazon Bedrock as a model provider: InvokeModel and InvokeModelWithResponseStream, signed with AWS SigV4.

https://docs.aws.amazon.com/bedrock/latest/APIReference
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self
from urllib.parse import quote, unquote

from flows.aws.credentials import AwsBlock, AwsKeys, block_session, new_session
from flows.errors import AwsCredentialsMissing
from flows.model.providers.base import ONE_TOKEN, ONLY_MESSAGES, RegisteredProvider, message_refusal_reason

if TYPE_CHECKING:
    from boto3 import Session

_PATH: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)")
_BEARER_TOKEN: Final = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105 (the name of a variable)
_API_VERSION: Final = "bedrock-2023-05-31"
_DEFAULT_MODEL: Final = "anthropic.claude-sonnet-5-5"
_PROFILE_PREFIXES: Final = {
    "us-gov-": "us-gov",
    "us-": "us",
    "ca-": "us",
    "eu-": "eu",
    "ap-southeast-2": "au",
    "ap-southeast-4": "au",
}
"""Maps the first letters of an AWS region's name to the prefix of the inference profiles that the region may call.

https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
"""
_OTHER_REGIONS_PREFIX: Final = "global"
"""The prefix for all other regions, such as the rest of Asia, which has no profiles of its own. Every commercial region
may call the profiles with this prefix."""


@dataclass(frozen=True)
class Bedrock(RegisteredProvider):
    """The provider `bedrock`: Bedrock's runtime in one region, with an AWS session that renews its credentials."""

    id: ClassVar[str] = "bedrock"
    price_list_id: ClassVar[str] = "aws"
    block_field: ClassVar[str] = "aws_credentials"
    secret_variables: ClassVar[tuple[str, ...]] = (_BEARER_TOKEN,)

    session: "Session"
    region: str
    model_id: str

    @classmethod
    def default_model_id(cls, region: str) -> str:
        """Return the id of the inference profile of Claude Sonnet for the region's part of the world."""
        prefixes = (prefix for start, prefix in _PROFILE_PREFIXES.items() if region.startswith(start))
        return f"{next(prefixes, _OTHER_REGIONS_PREFIX)}.{_DEFAULT_MODEL}"

    @classmethod
    def connect(cls, block_value: AwsBlock | None, region: str, model_id: str) -> Self:
        """Return the provider in one region, with AWS credentials from the block or else from the flow's process."""
        session = block_session(block_value, "the Claude Code block") if block_value else new_session(region)
        if session.get_credentials() is None:
            unsupported = "; AWS_BEARER_TOKEN_BEDROCK is not supported" if os.environ.get(_BEARER_TOKEN) else ""
            raise AwsCredentialsMissing(
                f"no AWS credentials for Bedrock: give the process a role, a profile or keys{unsupported}"
            )
        return cls(session, region, model_id)

    @staticmethod
    def agent_environment(gateway_url: str, gateway_token: str) -> dict[str, str]:
        """Return variables that give Claude Code the gateway's URL, and stop it from signing its requests."""
        del gateway_token
        return {
            "CLAUDE_CODE_USE_BEDROCK": "1",
            "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
            "ANTHROPIC_BEDROCK_BASE_URL": gateway_url,
        }

    @property
    def base_url(self) -> str:
        """The URL that boto3 would use: the region's endpoint, or AWS_ENDPOINT_URL_BEDROCK_RUNTIME if that is set."""
        client = self.session.client("bedrock-runtime", region_name=self.region)
        return str(client.meta.endpoint_url).rstrip("/")

    @cached_property
    def _keys(self) -> AwsKeys:
        return AwsKeys(self.session)

    def refusal_reason(self, method: str, path: str, body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return why a request must be refused; "" if it is an allowed one: an invocation of the run's own model."""
        match = _PATH.fullmatch(path)
        if method != "POST" or match is None:
            return ONLY_MESSAGES
        return message_refusal_reason(body, unquote(match[1]), self.model_id)

    def signature(self, method: str, url: str, content_type: str, body: bytes) -> Mapping[str, str]:
        """Return HTTP headers that sign this request with AWS Signature Version 4."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415 (only Bedrock runs need botocore)
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        keys = self._keys.frozen()
        request = AWSRequest(method=method, url=url, data=body, headers={"content-type": content_type})
        SigV4Auth(keys, "bedrock", self.region).add_auth(request)
        return dict(request.headers.items())

    def smallest_request(self) -> tuple[str, Mapping[str, str], bytes]:
        """Return the path, headers and body of a request for a reply of one token."""
        body = json.dumps({"anthropic_version": _API_VERSION, **ONE_TOKEN}).encode()
        return f"/model/{quote(self.model_id.removesuffix('[1m]'), safe='')}/invoke", {}, body

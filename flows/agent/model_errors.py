"""Chooses the `RunError` for a failed request to the model, by the wording of the provider's or Claude Code's message.

The wording takes precedence over the HTTP status, because providers send the same status for very different problems:
400 can mean a missing payment, or a model that is available through an inference profile only. The patterns are from
replies that the providers sent, or from public reports of the providers' users.
"""

import re
from dataclasses import dataclass
from typing import Final

from flows.errors import (
    AgentFailed,
    ModelAccessDenied,
    ModelNotFound,
    ModelQuotaExceeded,
    ModelRefused,
    ModelUnavailable,
    PromptTooLong,
    RunError,
)
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.provider import default_model_id


@dataclass(frozen=True)
class _Rule:
    """One kind of failure: a pattern for its wording, and the class and the message of the `RunError` for it."""

    words: str
    error: type[RunError]
    message: str

    def matches(self, text: str) -> bool:
        return re.search(self.words, text, re.IGNORECASE | re.DOTALL) is not None


_TOO_LONG: Final = _Rule(
    r"context[ _]window|context limit|context length|(prompt|input) is too long|request_too_large|too many total text",
    PromptTooLong,
    "the conversation no longer fits the model's context window: split the instructions into smaller tasks",
)
_DENIED: Final = _Rule(
    r"has been disabled|suspended|not (been )?(authorized|allowed|permitted)\b|access (is )?denied|have access"
    r"|authentication_error|permission_error|AccessDenied|UnrecognizedClient|ExpiredToken|security token",
    ModelAccessDenied,
    "no access to {model}: check the credentials, and that they may use this model",
)
_NOT_FOUND: Final = _Rule(
    r"model identifier is invalid|model_not_found|issue with the selected model|not_found_error"
    r"|end of (its )?life|marked by provider as legacy|(been|is) (retired|deprecated)",
    ModelNotFound,
    "there is no {model} in {region}: check claude_model_id",
)
_QUOTA: Final = _Rule(
    r"^(?!.*per minute).*(credit balance|usage limit|spend(ing)? limit|billing|per day|daily|quota)",
    ModelQuotaExceeded,
    "the account's credit or quota for {model} is used up: add credit or raise the quota, and retry the run",
)
_UNAVAILABLE: Final = _Rule(
    r"connection (error|closed|refused|reset|dropped)|overloaded"
    r"|timed? ?out|timeout|ECONN|socket|rate[ _]limit|throttl|too many (requests|tokens)"
    r"|stalled|mid-?stream|mid-response|incomplete reply|per minute|unavailable|not ?ready|internal ?server"
    r"|model_?stream_?error|\bapi_error\b",
    ModelUnavailable,
    "{model} did not answer, even after Claude Code's own retries",
)
_RULES: Final = (
    _Rule(
        r"exceeded the \d+ output token maximum",
        AgentFailed,
        "the model's replies were cut off at the limit of their length: raise limits.max_output_tokens, or split the "
        "instructions into smaller tasks",
    ),
    _Rule(
        r"^refusal\b|usage policy|unable to respond to this request|content filtering policy",
        ModelRefused,
        "the model refused to answer: reword the instructions, leave out what it refuses, or choose another model",
    ),
    _TOO_LONG,
    _Rule(
        r"use case details",
        ModelAccessDenied,
        "no access to {model}: submit the use case details for Anthropic's models in the Bedrock console of {region}",
    ),
    _Rule(
        r"on-demand throughput",
        ModelNotFound,
        "{model} is available through an inference profile only: set claude_model_id to the id of a profile, such as "
        "{example}",
    ),
    _Rule(
        r"operation not allowed",
        ModelAccessDenied,
        "the AWS account may not use {model}: open a case with AWS support, or use another account or model",
    ),
    _QUOTA,
    _NOT_FOUND,
    _DENIED,
    _UNAVAILABLE,
)
"""The rules for the wording of a failure. The first match counts, so special cases stand before general ones."""

_BY_STATUS: Final = {
    401: _DENIED,
    402: _QUOTA,
    403: _DENIED,
    404: _NOT_FOUND,
    408: _UNAVAILABLE,
    413: _TOO_LONG,
    424: _UNAVAILABLE,
    429: _UNAVAILABLE,
}
"""The rule for an HTTP status, used if no rule matches the wording. Bedrock sends 424 if the model itself failed."""

_SERVER_ERROR: Final = 500


def model_error(status: int, words: str, options: ClaudeCodeOptions) -> RunError | None:
    """Return the error for a failed request to the model; None if no rule matches the wording or the status."""
    rule = next((rule for rule in _RULES if rule.matches(words)), None) or _BY_STATUS.get(status)
    if rule is None and status >= _SERVER_ERROR:
        rule = _UNAVAILABLE
    if rule is None:
        return None
    message = rule.message.format(
        model=f"{options.provider} model {options.model_id!r}",
        region=options.aws_region,
        example=default_model_id("bedrock", options.aws_region),
    )
    return rule.error(f"{message} ({words})")

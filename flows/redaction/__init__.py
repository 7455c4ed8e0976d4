"""Redaction: replaces known secrets, and text that looks like a secret, in text that leaves the process."""

from flows.redaction.environment import ENVIRONMENT, is_proxy, strip, without_quotes
from flows.redaction.known import GATEWAY_TOKEN, REDACTED, SECRETS, Secrets, redact
from flows.redaction.shapes import TOKEN_SHAPES

__all__ = [
    "ENVIRONMENT",
    "GATEWAY_TOKEN",
    "REDACTED",
    "SECRETS",
    "TOKEN_SHAPES",
    "Secrets",
    "is_proxy",
    "redact",
    "strip",
    "without_quotes",
]

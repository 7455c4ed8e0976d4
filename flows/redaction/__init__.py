"""Replaces known secrets, and text that looks like a secret, in text that leaves the process."""

from flows.redaction.environment import ENVIRONMENT, is_proxy, strip, without_quotes
from flows.redaction.known import GATEWAY_TOKEN, REDACTED, SECRETS, SHORTEST_SECRET, Secrets, redact
from flows.redaction.shapes import Finding, findings_in

__all__ = [
    "ENVIRONMENT",
    "GATEWAY_TOKEN",
    "REDACTED",
    "SECRETS",
    "SHORTEST_SECRET",
    "Finding",
    "Secrets",
    "findings_in",
    "is_proxy",
    "redact",
    "strip",
    "without_quotes",
]

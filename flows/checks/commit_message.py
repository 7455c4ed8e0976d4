"""Refuses a commit message that contains a secret."""

from flows.checks.base import Inspection
from flows.checks.leaks import base_of, check_credentials, check_tokens
from flows.repository import objects


def check_commit_message(inspection: Inspection) -> None:
    """Raise `CredentialExposed` or `SecretInChange` if the message contains a secret; the error never quotes it."""
    message = objects.message(inspection.git_dir, inspection.change.commit).encode("utf-8", "surrogateescape")
    base = base_of(inspection)
    check_credentials("the commit message", message, base)
    check_tokens("the commit message", message, base, "leave the secret out")

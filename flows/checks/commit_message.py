"""Refuses a commit message that contains a secret."""

from flows.checks.base import Inspection
from flows.checks.leaks import check_credentials, looks_like_secret
from flows.errors import SecretInChange
from flows.repository import objects


def check_commit_message(inspection: Inspection) -> None:
    """Raise `CredentialExposed` or `SecretInChange` if the message contains a secret; the error names only its kind."""
    message = objects.message(inspection.git_dir, inspection.change.commit)
    check_credentials("the commit message", message)
    if kind := looks_like_secret(message):
        raise SecretInChange(f"the commit message contains what looks like a secret ({kind}): leave the secret out")

"""The git token and e-mail of a run, in memory alone; and how AWS Secrets Manager's secret of them is read."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pydantic import SecretStr

from flows.aws.session import Outcomes, client_config, named_errors
from flows.errors import InvalidGitSecret, SecretAccessDenied, SecretNotFound, SecretUnavailable

if TYPE_CHECKING:
    from boto3 import Session

_FORM: Final = 'it must be {"token": "…", "email": "you@example.com"}'


@dataclass(frozen=True)
class GitCredentials:
    """The token for a repository, and the author of its commits."""

    token: SecretStr
    email: str
    username: str = ""
    """The user name to send with the token; empty for the name that the repository's forge expects."""

    @classmethod
    def from_secret(cls, secret_id: str, session: "Session", region: str, username: str = "") -> Self:
        """Read them from AWS Secrets Manager.

        Raises:
            SecretNotFound, SecretAccessDenied, SecretUnavailable: What AWS says.
            InvalidGitSecret: There is no usable token or e-mail in it.
        """
        # At DEBUG this logger writes whole answers, and this answer is the secret.
        logging.getLogger("botocore.parsers").setLevel(logging.INFO)
        outcomes = Outcomes(f"secret {secret_id!r}", SecretNotFound, SecretAccessDenied, SecretUnavailable)
        with named_errors(outcomes):
            client = session.client("secretsmanager", region_name=region, config=client_config())
            answer = client.get_secret_value(SecretId=secret_id)
        fields = _parse(answer.get("SecretString") or answer.get("SecretBinary", b""), secret_id)
        return cls.checked({"username": username, **fields}, f"secret {secret_id!r}")

    @classmethod
    def checked(cls, fields: Mapping[str, object], where: str) -> Self:
        """Return what `fields` holds; raise `InvalidGitSecret`, which names `where`, where it cannot be used."""
        token, email, username = fields.get("token"), fields.get("email"), fields.get("username", "")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise InvalidGitSecret(f"{where} has no usable token (one line, no spaces): {_FORM}")
        if not isinstance(email, str) or not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", email):
            raise InvalidGitSecret(f"{where} has no usable e-mail address: {_FORM}")
        if not isinstance(username, str) or not re.fullmatch(r"[\w.+-]*", username, re.ASCII):
            raise InvalidGitSecret(f"{where} has an impossible user name: leave it out; {_FORM}")
        return cls(SecretStr(token), email, username)


def _parse(secret: str | bytes, secret_id: str) -> dict[str, object]:
    try:
        fields = json.loads(secret)
    except ValueError:
        # The reason quotes the text, and the text is the secret.
        raise InvalidGitSecret(f"secret {secret_id!r} is not JSON: {_FORM}") from None
    if not isinstance(fields, dict):
        raise InvalidGitSecret(f"secret {secret_id!r} is not a JSON object: {_FORM}")
    return fields

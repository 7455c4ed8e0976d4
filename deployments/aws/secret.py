"""Stores secrets through the API of AWS Secrets Manager, so that no CloudFormation template or output contains them."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import SecretStr

from deployments.aws.account import Account
from deployments.cli.errors import InvalidGitSecret, InvalidParameter, TokenMissing
from deployments.cli.step import Change
from flows import errors
from flows.aws.session import client_config
from flows.forges.github_app import APP_FIELDS
from flows.repository.binding import Binding
from flows.repository.credentials import GitCredentials
from flows.repository.secret_fields import EMAIL, TOKEN

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

RECOVERY_DAYS = 7


Value = Callable[[str], str]
"""A function that takes the stored value of a secret ("" if nothing is stored) and returns the new value."""


def git_secret(
    token: SecretStr | None,
    email: str = "",
    lists: Mapping[str, Sequence[str] | None] = MappingProxyType({}),
    app: Mapping[str, str] = MappingProxyType({}),
) -> Value:
    """Return a function that computes the new value of the git secret from the stored value.

    The new value has the fields that are passed here, and keeps all other stored fields. A GitHub App replaces a stored
    token, and a token replaces a stored App. The returned function raises:
        TokenMissing: There is no token.
        InvalidGitSecret: The token, the e-mail address or a stored field cannot be used.
        InvalidParameter: A host or repository is malformed.
    """
    candidates = {EMAIL: email, **{name: list(texts or ()) for name, texts in lists.items()}}
    options: dict[str, object] = {name: value for name, value in candidates.items() if value}
    options |= app
    replaced = frozenset({TOKEN}) if app else frozenset()
    if token is not None:
        options[TOKEN] = token.get_secret_value()
        replaced = APP_FIELDS

    def value(stored: str) -> str:
        fields = {name: each for name, each in _fields(stored).items() if name not in replaced} | options
        try:
            Binding.parse(fields, "the git secret")
        except errors.InvalidGitSecret as error:
            raise InvalidParameter(f"{error}; set the lists with --host and --repository") from None
        try:
            GitCredentials.from_fields(fields, "the input")
        except errors.InvalidGitSecret as error:
            has_login = fields.get(TOKEN) or fields.keys() & APP_FIELDS
            raise (InvalidGitSecret if has_login else TokenMissing)(str(error)) from None
        return json.dumps(fields)

    return value


def _fields(stored: str) -> dict[str, object]:
    """Return the fields of the stored git secret.

    There are no fields if the stored value is not a JSON object. No run could read such a secret.
    """
    try:
        fields = json.loads(stored)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


@dataclass(frozen=True)
class Secret:
    """A secret in AWS, and the step that stores its new value. Without a value, the step changes nothing."""

    account: Account
    name: str
    value: Value | None = None

    @cached_property
    def _client(self) -> "SecretsManagerClient":
        # At level DEBUG these loggers write whole responses, and these responses contain the secret.
        for logger in ("botocore.parsers", "botocore.endpoint", "urllib3"):
            logging.getLogger(logger).setLevel(logging.INFO)
        return self.account.session.client("secretsmanager", config=client_config())

    def arn(self) -> str:
        """Return the ARN with AWS's random suffix; "" if the secret does not exist or its deletion is scheduled."""
        try:
            description = self._client.describe_secret(SecretId=self.name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return ""
            raise
        return "" if description.get("DeletedDate") is not None else description["ARN"]

    def is_tagged(self) -> bool:
        """Return whether the secret exists and has the project's tag, which only the set-up commands set."""
        tag = {"Key": "project", "Value": self.account.project}
        return bool(self.arn()) and tag in self._client.describe_secret(SecretId=self.name).get("Tags", [])

    def _is_deletion_scheduled(self) -> bool:
        try:
            return self._client.describe_secret(SecretId=self.name).get("DeletedDate") is not None
        except ClientError:
            return False

    def plan(self) -> list[Change]:
        """Return the planned change if the new value differs from the stored one. The change contains neither value."""
        if self.value is None:
            return []
        if not self.arn():
            self.value("")
            verb = "restore and update" if self._is_deletion_scheduled() else "create"
            return [Change(verb, f"secret {self.name}")]
        stored = self._stored()
        return [] if stored == self.value(stored) else [Change("update", f"secret {self.name}")]

    def _stored(self) -> str:
        try:
            response = self._client.get_secret_value(SecretId=self.name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":  # the secret exists without a value
                return ""
            raise
        return response.get("SecretString") or response.get("SecretBinary", b"").decode("utf-8", "replace")

    def apply(self) -> None:
        """Create the secret, or store its new value."""
        value = self.value or str
        if self._is_deletion_scheduled():
            self._client.restore_secret(SecretId=self.name)
        if self.arn():
            self._client.put_secret_value(SecretId=self.name, SecretString=value(self._stored()))
        else:
            tags = [{"Key": "project", "Value": self.account.project}]
            self._client.create_secret(Name=self.name, SecretString=value(""), Tags=tags)  # type: ignore[arg-type]

    def remove(self) -> None:
        """Delete the secret. AWS can restore it for a week."""
        self._client.delete_secret(SecretId=self.name, RecoveryWindowInDays=RECOVERY_DAYS)

"""A secret in AWS Secrets Manager. It is written through the API, so that no template and no output holds it."""

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import SecretStr

from blocks.git_credentials import GitCredentials
from deployments.aws.account import Account
from deployments.cli.errors import TokenMissing
from deployments.cli.step import Change
from flows.aws.session import client_config
from flows.errors import InvalidGitSecret

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

RECOVERY_DAYS = 7


def git_secret(token: SecretStr, email: str) -> SecretStr:
    """Return the JSON of the git secret; raise `TokenMissing` if a run could not use it."""
    try:
        GitCredentials(token=token, email=email).resolve("")
    except InvalidGitSecret as error:
        raise TokenMissing(str(error).replace("the git credentials block", "the input")) from None
    return SecretStr(json.dumps({"token": token.get_secret_value(), "email": email}))


@dataclass(frozen=True)
class Secret:
    """A secret, and the value that it should have; without a value, it only has to exist."""

    account: Account
    name: str
    value: SecretStr | None = None

    @cached_property
    def _client(self) -> "SecretsManagerClient":
        # At DEBUG these write whole answers, and these answers are secrets.
        for logger in ("botocore.parsers", "botocore.endpoint", "urllib3"):
            logging.getLogger(logger).setLevel(logging.INFO)
        return self.account.session.client("secretsmanager", config=client_config())

    def arn(self) -> str:
        """Return the ARN with AWS's random suffix; empty if the secret does not exist, or its deletion is scheduled."""
        try:
            found = self._client.describe_secret(SecretId=self.name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return ""
            raise
        return "" if found.get("DeletedDate") is not None else found["ARN"]

    def made_here(self) -> bool:
        """Whether the secret exists, and these commands created it for this project."""
        tag = {"Key": "project", "Value": self.account.project}
        return bool(self.arn()) and tag in self._client.describe_secret(SecretId=self.name).get("Tags", [])

    def _being_deleted(self) -> bool:
        try:
            return self._client.describe_secret(SecretId=self.name).get("DeletedDate") is not None
        except ClientError:
            return False

    def plan(self) -> list[Change]:
        """Compare the value with the stored one; show neither."""
        if self.value is None:
            return []
        if not self.arn():
            return [Change("restore and update" if self._being_deleted() else "create", f"secret {self.name}")]
        return [] if self._stored() == self.value.get_secret_value() else [Change("update", f"secret {self.name}")]

    def _stored(self) -> str:
        try:
            return self._client.get_secret_value(SecretId=self.name).get("SecretString", "")
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":  # created, without a value
                return ""
            raise

    def apply(self) -> None:
        """Create the secret, or store its new value."""
        value = (self.value or SecretStr("")).get_secret_value()
        if self._being_deleted():
            self._client.restore_secret(SecretId=self.name)
        if self.arn():
            self._client.put_secret_value(SecretId=self.name, SecretString=value)
        else:
            tags = [{"Key": "project", "Value": self.account.project}]
            self._client.create_secret(Name=self.name, SecretString=value, Tags=tags)  # type: ignore[arg-type]

    def remove(self) -> None:
        """Delete the secret; AWS can restore it for a week."""
        self._client.delete_secret(SecretId=self.name, RecoveryWindowInDays=RECOVERY_DAYS)

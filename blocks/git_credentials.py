"""The git token and e-mail, as a Prefect block: kept in the block, or in AWS Secrets Manager."""

import json
import logging
import re
from typing import Final, Self

from prefect.blocks.abstract import CredentialsBlock
from prefect_aws import AwsCredentials
from pydantic import Field, SecretStr

from flows.aws import Outcomes, client_config, named_errors
from flows.errors import InvalidGitSecret, SecretAccessDenied, SecretNotFound, SecretUnavailable

DEFAULT_USERNAME: Final = "x-access-token"
_FORM: Final = 'it must be {"token": "…", "email": "you@example.com"}'


class GitCredentials(CredentialsBlock):
    """A git token, with the e-mail that commits are signed with; or the AWS secret that holds both.

    Example:
        ```python
        from blocks import GitCredentials

        GitCredentials(secret_id="claude-headless/git-credentials").save("team-bot")
        ```
    """

    _block_type_name = "Git Credentials"
    _block_type_slug = "git-credentials"
    _logo_url = "https://cdn.simpleicons.org/git"  # type: ignore[assignment]
    _documentation_url = "https://git-scm.com/docs/gitcredentials"  # type: ignore[assignment]

    token: SecretStr | None = Field(
        default=None, title="Token", description="An access token that may read and write the repository."
    )
    email: str = Field(default="", title="E-mail", description="The author of the commits.")
    username: str = Field(
        default=DEFAULT_USERNAME,
        title="User name",
        description="What the git host wants beside the token. Bitbucket wants x-token-auth; others take any.",
    )
    secret_id: str = Field(
        default="",
        title="AWS secret",
        description='In place of a token here: name or ARN of a secret that holds {"token": …, "email": …}.',
    )
    aws_credentials: AwsCredentials | None = Field(
        default=None, title="AWS credentials", description="For the AWS secret. Empty: the role or keys of the process."
    )

    def resolve(self, region: str) -> Self:
        """Return a block that holds the token itself, read from AWS where this one names a secret.

        Raises:
            SecretNotFound, SecretAccessDenied, SecretUnavailable: What AWS says.
            InvalidGitSecret: There is no usable token or e-mail in it.
        """
        if not self.secret_id:
            return self._checked({"token": self.token.get_secret_value() if self.token else "", "email": self.email})
        return self._checked(_parse(self._read(region), self.secret_id))

    def get_client(self) -> None:
        """Not offered: the token is for git alone."""
        raise NotImplementedError("git is the client; use resolve()")

    def _read(self, region: str) -> str | bytes:
        # At DEBUG this logger writes whole answers, and this answer is the secret.
        logging.getLogger("botocore.parsers").setLevel(logging.INFO)
        credentials = self.aws_credentials or AwsCredentials(region_name=region)
        outcomes = Outcomes(f"secret {self.secret_id!r}", SecretNotFound, SecretAccessDenied, SecretUnavailable)
        with named_errors(outcomes):
            client = credentials.get_boto3_session().client(
                "secretsmanager", region_name=credentials.region_name or region, config=client_config()
            )
            answer = client.get_secret_value(SecretId=self.secret_id)
        return answer.get("SecretString") or answer.get("SecretBinary", b"")

    def _checked(self, fields: dict[str, object]) -> Self:
        token, email, username = fields.get("token"), fields.get("email"), fields.get("username", self.username)
        where = f"secret {self.secret_id!r}" if self.secret_id else "the git credentials block"
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise InvalidGitSecret(f"{where} has no usable token (one line, no spaces): {_FORM}")
        if not isinstance(email, str) or not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", email):
            raise InvalidGitSecret(f"{where} has no usable e-mail address: {_FORM}")
        if not isinstance(username, str) or not re.fullmatch(r"[\w.+-]+", username, re.ASCII):
            raise InvalidGitSecret(f"{where} has an impossible user name: leave it out; {_FORM}")
        return self.model_copy(update={"token": SecretStr(token), "email": email, "username": username})


def _parse(secret: str | bytes, secret_id: str) -> dict[str, object]:
    try:
        fields = json.loads(secret)
    except ValueError:
        # The reason quotes the text, and the text is the secret.
        raise InvalidGitSecret(f"secret {secret_id!r} is not JSON: {_FORM}") from None
    if not isinstance(fields, dict):
        raise InvalidGitSecret(f"secret {secret_id!r} is not a JSON object: {_FORM}")
    return fields

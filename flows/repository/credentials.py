"""Reads a run's git token and e-mail address from a secret in AWS Secrets Manager, and keeps them only in memory."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from pydantic import SecretStr

from flows.aws.errors import ServiceErrors, named_errors
from flows.aws.session import client_config
from flows.errors import (
    InvalidGitSecret,
    RepositoryNotAllowed,
    SecretAccessDenied,
    SecretNotFound,
    SecretUnavailable,
)
from flows.forges.github_app import APP_FIELDS, GitHubApp
from flows.forges.table import git_username
from flows.parameters.addresses import RepoUrl
from flows.redaction import strip
from flows.repository.binding import Binding
from flows.repository.secret_fields import API_URLS, EMAIL, TOKEN, USERNAME, intended_field

if TYPE_CHECKING:
    from boto3 import Session

UNBOUND: Final = (
    "the git token is not bound to a host: anyone who can start a run can have it sent to a server of their choice. "
    "Bind the token: run python -m deployments secret --repository 'https://github.com/your-org/*', or fill in "
    "Repositories in the Git Credentials block"
)
_FORM: Final = 'the expected form is {"token": "…", "email": "you@example.com"}'
_SHORTEST_LIFE: Final = timedelta(minutes=2)
_APP_EMAIL: Final = "claude-code-headless@users.noreply.invalid"
"""The author's address if a GitHub App has none. No account has it, and it is the same in each attempt of a run."""


@dataclass(frozen=True)
class GitCredentials:
    """The token for a repository, and the e-mail address of the author of the run's commits."""

    token: SecretStr
    email: str
    username: str = ""
    """The user name to send with the token; empty to use the one that the repository's forge expects."""
    bindings: tuple[Binding, ...] = ()
    """The bindings in the block and in the AWS secret. The token is only for repositories that all bindings allow."""
    api_urls: tuple[str, ...] = ()
    """Addresses of forges' APIs on other servers than the repository, to which the token may go."""
    app: GitHubApp | None = None
    """The GitHub App that makes the token; None if the secret has a token itself."""
    expires_at: datetime | None = None
    """When the token of a GitHub App ends."""

    @property
    def is_expired(self) -> bool:
        """Whether the token has ended, or ends in a moment."""
        return self.expires_at is not None and self.expires_at < datetime.now(UTC) + _SHORTEST_LIFE

    @property
    def is_bound(self) -> bool:
        """Whether any binding limits the token to certain hosts or repositories."""
        return not all(binding.is_empty for binding in self.bindings)

    def check_repository(self, url: RepoUrl) -> None:
        """Raise `RepositoryNotAllowed` if a binding of the token does not allow this repository."""
        for binding in self.bindings:
            if not binding.allows(url):
                raise RepositoryNotAllowed(
                    f"the git token is not for {url}: its secret or block allows only {binding}. Start the run with "
                    "credentials for this repository, or ask the owner of the token to add the repository to that list"
                )

    def lists_repository(self, url: RepoUrl) -> bool:
        """Whether a binding lists this repository in its `repositories`, and no binding forbids it."""
        lists = any(binding.repositories is not None for binding in self.bindings)
        return lists and all(binding.allows(url) for binding in self.bindings)

    def reaches(self, url: RepoUrl, own: RepoUrl) -> bool:
        """Whether the token may go to another repository in a run on `own`: to its neighbours, and to listed ones."""
        folder = f"{own.path.rpartition('/')[0]}/"
        below = url.path.removeprefix(folder)
        # A repository at the root of its server has no owner, so only its neighbours belong to it.
        is_neighbour = url.path.startswith(folder) and (folder != "/" or "/" not in below)
        is_plain = url.origin == own.origin and "%" not in url.path
        return (is_neighbour and is_plain) or self.lists_repository(url)

    def for_repository(self, url: RepoUrl, forge: str, forge_api_url: str) -> Self:
        """Return the credentials with the user name for the kind of forge, and with a token if a GitHub App makes it.

        Raises:
            ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, InvalidGitSecret: See `GitHubApp.token`.
        """
        token, expires_at = self.token, self.expires_at
        if self.app:
            made = self.app.token(url.url, forge=forge, forge_api_url=forge_api_url, allowed_api_urls=self.api_urls)
            token, expires_at = made.token, made.expires_at
        username = self.username or (git_username(url.url, token.get_secret_value(), forge) if forge else "")
        return replace(self, token=token, username=username, expires_at=expires_at)

    @staticmethod
    def addresses(urls: object, source: str) -> tuple[str, ...]:
        """Return the addresses of APIs in a secret or block; raise `InvalidGitSecret` if they are none."""
        if not isinstance(urls, list) or not all(isinstance(url, str) and re.match("https?://", url) for url in urls):
            raise InvalidGitSecret(
                f"{source}: {API_URLS} must be a list of addresses, such as https://git.example.com/api/v4: "
                "correct it, or leave it out"
            )
        return tuple(urls)

    @classmethod
    def from_secret(cls, secret_id: str, session: "Session", region: str, username: str = "") -> Self:
        """Read the credentials from a secret in AWS Secrets Manager, and return them.

        Raises:
            SecretNotFound, SecretAccessDenied, SecretUnavailable: The secret does not exist, may not be
                read, or cannot be read at the moment.
            AwsCredentialsMissing: There are no AWS credentials, or AWS refused them.
            InvalidGitSecret: The secret has no usable token or e-mail address, or a malformed list of hosts or
                repositories.
        """
        # At DEBUG this logger writes whole responses, and this response is the secret.
        logging.getLogger("botocore.parsers").setLevel(logging.INFO)
        errors = ServiceErrors(f"secret {secret_id!r}", SecretNotFound, SecretAccessDenied, SecretUnavailable)
        with named_errors(errors):
            client = session.client("secretsmanager", region_name=region, config=client_config())
            response = client.get_secret_value(SecretId=secret_id)
        fields = _parse(response.get("SecretString") or response.get("SecretBinary", b""), secret_id)
        return cls.from_fields({"username": username, **fields}, f"secret {secret_id!r}")

    @classmethod
    def from_fields(cls, fields: Mapping[str, object], source: str) -> Self:
        """Return the credentials in `fields`; raise `InvalidGitSecret`, which names `source`, if they are unusable."""
        token, email, username = (
            strip(value) if isinstance(value, str) else value
            for value in (fields.get("token"), fields.get("email"), fields.get("username", ""))
        )
        _check_names(fields, source)
        app = GitHubApp.from_fields(fields, source)
        if app and token:
            raise InvalidGitSecret(f"{source} has a token and a GitHub App: remove one of them")
        if app:
            token, email = "", email or _APP_EMAIL
        if not app and (not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token)):
            raise InvalidGitSecret(f"{source} has no usable token (one line, no spaces): {_FORM}")
        if not isinstance(email, str) or not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", email):
            raise InvalidGitSecret(f"{source} has no usable e-mail address: {_FORM}")
        if not isinstance(username, str) or not re.fullmatch(r"[\w.+-]*", username, re.ASCII):
            raise InvalidGitSecret(f"{source} has an invalid user name: correct it, or leave it out; {_FORM}")
        return cls(
            SecretStr(str(token)),
            email,
            username,
            (Binding.parse(fields, source),),
            cls.addresses(fields.get(API_URLS) or [], source),
            app,
        )


def _check_names(fields: Mapping[str, object], source: str) -> None:
    """Raise `InvalidGitSecret` if a field that is not a list of the binding is missing, but one has a similar name.

    Fields with any other name are ignored, because the secret may also serve other programs.
    """
    required = {TOKEN, EMAIL, USERNAME, API_URLS} | (frozenset() if fields.get(TOKEN) else APP_FIELDS)
    for name in fields:
        correct = intended_field(name)
        if name != correct and correct in required and not fields.get(correct):
            raise InvalidGitSecret(
                f"{source} has the field {name!r}, which looks like {correct!r}: rename it to {correct!r}"
            )


def _parse(secret: str | bytes, secret_id: str) -> dict[str, object]:
    try:
        fields = json.loads(secret)
    except ValueError:
        # `from None`, because the error of `json` quotes the text, and the text is the secret.
        raise InvalidGitSecret(f"secret {secret_id!r} is not JSON: {_FORM}") from None
    if not isinstance(fields, dict):
        raise InvalidGitSecret(f"secret {secret_id!r} is not a JSON object: {_FORM}")
    return fields

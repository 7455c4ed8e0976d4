"""Gets a token for one repository from a GitHub App, which is an account of its own with a private key.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from pydantic import SecretStr

from flows.errors import ForgeAuthFailed, ForgePermissionMissing, InvalidGitSecret
from flows.forges.api.client import NOT_FOUND, Answer, ApiClient
from flows.forges.api.github import headers
from flows.forges.api.table import repository_of
from flows.redaction import SECRETS, strip

APP_ID: Final = "app_id"
PRIVATE_KEY: Final = "private_key"
INSTALLATION_ID: Final = "installation_id"
APP_FIELDS: Final = frozenset({APP_ID, PRIVATE_KEY, INSTALLATION_ID})

_CLOCK_TOLERANCE_SECONDS: Final = 60
_LIFE_SECONDS: Final = 540
"""GitHub accepts at most ten minutes."""


@dataclass(frozen=True)
class InstallationToken:
    """A token of an App for one repository. It also works for git, with the user name `x-access-token`."""

    token: SecretStr
    expires_at: datetime
    """About an hour later."""


@dataclass(frozen=True)
class GitHubApp:
    """A GitHub App, as the git secret describes it."""

    app_id: str
    """The number of the App, or its client id."""
    private_key: SecretStr
    installation_id: int = 0
    """The installation for the owner of the repository; 0 to ask GitHub for it."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, object], source: str) -> Self | None:
        """Return the App in the fields of a secret; None if the secret describes none.

        Raises:
            InvalidGitSecret: A field is missing or malformed. The message names `source`, and quotes no value.
        """
        if not fields.keys() & APP_FIELDS:
            return None
        app_id, installation = _word(fields, APP_ID), _word(fields, INSTALLATION_ID)
        if not re.fullmatch(r"[A-Za-z0-9.]{1,64}", app_id):
            raise InvalidGitSecret(f"{source} has no usable {APP_ID}: it is the App ID or client ID on the App's page")
        if not re.fullmatch(r"[0-9]{0,18}", installation):
            raise InvalidGitSecret(
                f"{source} has an {INSTALLATION_ID} that is not a number: correct it, or leave it out"
            )
        pem = _pem(fields.get(PRIVATE_KEY))
        SECRETS.learn("the private key of the GitHub App", pem)
        if not _is_rsa_key(pem):
            raise InvalidGitSecret(
                f"{source} has no usable {PRIVATE_KEY}: it is the whole text of the .pem file that GitHub made for "
                "the App, an RSA key without a passphrase"
            )
        return cls(app_id, SecretStr(pem), int(installation or 0))

    def token(
        self, url: str, *, forge: str = "", forge_api_url: str = "", allowed_api_urls: tuple[str, ...] = ()
    ) -> InstallationToken:
        """Ask GitHub for a token that is for this repository only; the arguments are those of `open_api`.

        Raises:
            ForgeAuthFailed: GitHub refused the key.
            ForgePermissionMissing: The App is not installed for the repository.
            InvalidGitSecret: The repository is not on GitHub.
            ForgeUnavailable, PullRequestRefused, InvalidForgeApiUrl: See `ForgeApi` and `open_api`.
        """
        repository = repository_of(url, self.private_key, "", forge, forge_api_url, allowed_api_urls)
        if repository.forge.name != "github":
            raise InvalidGitSecret(
                f"the git secret has a GitHub App, and {url} is on another forge: give the secret a token for it"
            )
        client = ApiClient(repository.api_url, headers(self._signature()))
        try:
            installation = self.installation_id or self._installation(client, repository.path)
            return self._token(client, installation, repository.path)
        except ForgeAuthFailed as error:
            raise ForgeAuthFailed(
                f"GitHub refused the key of App {self.app_id}: check {APP_ID}, {PRIVATE_KEY} and the clock of this "
                f"machine ({error})"
            ) from error
        finally:
            client.close()

    def _signature(self) -> str:
        import jwt  # noqa: PLC0415 (it imports the cryptography library, and few runs need it)

        now = int(time.time())
        claims = {"iat": now - _CLOCK_TOLERANCE_SECONDS, "exp": now + _LIFE_SECONDS, "iss": self.app_id}
        signature: str = jwt.encode(claims, self.private_key.get_secret_value(), algorithm="RS256")
        SECRETS.learn("the signature of the GitHub App", signature)
        return signature

    def _installation(self, client: ApiClient, path: str) -> int:
        answer = client.send("GET", f"/repos/{path}/installation")
        with self._readable():
            return int(self._body(answer, path)["id"])

    def _token(self, client: ApiClient, installation: int, path: str) -> InstallationToken:
        body = {"repositories": [path.rpartition("/")[2]]}
        answer = client.send("POST", f"/app/installations/{installation}/access_tokens", body=body)
        with self._readable():
            fields = self._body(answer, path)
            token = str(fields["token"])
            SECRETS.learn("the token of the GitHub App", token)
            moment = datetime.fromisoformat(str(fields["expires_at"])).astimezone(UTC)
            if not re.fullmatch(r"[\x21-\x7e]{8,}", token):
                raise ValueError("the token is none")
        return InstallationToken(SecretStr(token), moment)

    def _body(self, answer: Answer, path: str) -> dict[str, Any]:
        if answer.is_success and isinstance(answer.body, dict) and answer.body.keys() & {"id", "token"}:
            return answer.body
        if answer.status == NOT_FOUND or not answer.is_success:
            raise ForgePermissionMissing(
                f"GitHub App {self.app_id} has no token for {path} ({answer.reason}): install the App for this "
                f"repository, with write access to Contents and Pull requests, and check {INSTALLATION_ID}"
            )
        raise self._no_token()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Give the errors of a parser a name. Their texts could quote a token."""
        try:
            yield
        except (LookupError, TypeError, ValueError, OverflowError):
            raise self._no_token() from None

    def _no_token(self) -> ForgeAuthFailed:
        return ForgeAuthFailed(f"GitHub gave App {self.app_id} no token: check forge_api_url")


def _word(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return strip(str(value)) if isinstance(value, str | int) else ""


def _pem(key: object) -> str:
    """Return the key with its line breaks, each of which may be written as a backslash and an n."""
    text = strip(key) if isinstance(key, str) else ""
    return text.replace("\\n", "\n") + "\n" if text else ""


def _is_rsa_key(pem: str) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 (see above)
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        return isinstance(load_pem_private_key(pem.encode(), password=None), RSAPrivateKey)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False

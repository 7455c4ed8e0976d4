"""Prepares the AWS credentials that boto3 finds: strips them, checks them, and registers them as secrets before use."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, Self, runtime_checkable

from flows.aws.errors import credentials_advice, is_transient
from flows.aws.session import new_boto3_session
from flows.credential_values import usable
from flows.errors import AwsCredentialsMissing, RunError
from flows.redaction import SECRETS

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.credentials import ReadOnlyCredentials
    from pydantic import SecretStr

PATIENCE_SECONDS: Final = 30
"""For how many seconds the renewal of credentials may fail before a run reports the credentials as missing."""

_PROCESS: Final = "the flow's process"
_KEY: Final = "the AWS access key id"
_SECRET: Final = "the AWS secret access key"  # noqa: S105 (the name of a secret)
_TOKEN: Final = "the AWS session token"  # noqa: S105 (the name of a secret)


@runtime_checkable
class AwsBlock(Protocol):
    """The attributes and methods of Prefect's block `AwsCredentials` that this module uses."""

    aws_access_key_id: str | None
    aws_secret_access_key: "SecretStr | None"
    aws_session_token: str | None

    def model_copy(self, *, update: dict[str, object]) -> Self:
        """Return a copy of the block in which the values of `update` replace the block's own."""

    def get_boto3_session(self) -> "Session":
        """Return a session with the block's credentials. If the block names a role to assume, this method calls AWS."""


def new_session(region: str) -> "Session":
    """Return a session with the credentials of the flow's process: a role, a profile or keys.

    Raises:
        AwsCredentialsMissing: boto3 cannot read the credentials.
        InvalidCredential: A credential contains a character that an HTTP header cannot contain.
    """
    return _session(lambda: new_boto3_session(region), _PROCESS)


def block_session(block: AwsBlock, source: str) -> "Session":
    """Return a session with the credentials of a block; raise the same errors as `new_session`.

    Args:
        block: The block with the credentials.
        source: A name for the block, for error messages.
    """
    return _session(usable_block(block, source).get_boto3_session, source)


def usable_block(block: AwsBlock, source: str) -> AwsBlock:
    """Return a copy of the block with stripped keys, and register the keys as secrets.

    Raises:
        InvalidCredential: A key contains a character that an HTTP header cannot contain.
    """
    key, secret, token = block.aws_access_key_id, block.aws_secret_access_key, block.aws_session_token
    changes: dict[str, object] = {}
    if key:
        changes["aws_access_key_id"] = usable(key, _KEY, source)
    if secret:
        SECRETS.learn(_SECRET, secret.get_secret_value())
        changes["aws_secret_access_key"] = type(secret)(usable(secret.get_secret_value(), _SECRET, source))
    if token:
        SECRETS.learn(_TOKEN, token)
        changes["aws_session_token"] = usable(token, _TOKEN, source)
    return block.model_copy(update=changes)


class AwsKeys:
    """The AWS credentials of one session, which a whole run uses. The session renews the credentials by itself."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._failing_since: float | None = None

    def frozen(self) -> "ReadOnlyCredentials":
        """Return the keys that are valid now.

        Raises:
            AwsCredentialsMissing: No credentials exist, or their renewal has failed for `PATIENCE_SECONDS`.
            Exception: boto3 failed, but the next call of this method may succeed.
        """
        try:
            credentials = self._session.get_credentials()
            frozen = credentials.get_frozen_credentials() if credentials else None
        except RunError:
            raise
        except Exception as error:
            self._failing_since = self._failing_since or time.monotonic()
            if is_transient(error) and time.monotonic() - self._failing_since < PATIENCE_SECONDS:
                raise
            raise _missing(_PROCESS, error) from None
        if frozen is None:
            raise AwsCredentialsMissing(
                "no AWS credentials for Bedrock: give the flow's process a role, a profile or keys"
            )
        self._failing_since = None
        return _usable(frozen, _PROCESS)


def _session(create: Callable[[], "Session"], source: str) -> "Session":
    """Return the session that `create` makes. Its credentials are stripped and checked, now and after each renewal."""
    from botocore.credentials import RefreshableCredentials  # noqa: PLC0415 (only a run that uses AWS loads it)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        session = create()
        credentials = session.get_credentials()
    except (BotoCoreError, ClientError, OSError, ValueError) as error:  # the last two: from a credential_process
        raise _missing(source, error) from None
    if credentials is None:
        return session  # the error of the first client tells what needs credentials
    read_keys = credentials.get_frozen_credentials
    credentials.get_frozen_credentials = lambda: _usable(read_keys(), source)  # type: ignore[method-assign]
    # The credentials of a role are fetched when they are first needed.
    if not isinstance(credentials, RefreshableCredentials):
        credentials.get_frozen_credentials()
    return session


def _usable(keys: "ReadOnlyCredentials", source: str) -> "ReadOnlyCredentials":
    SECRETS.learn(_SECRET, keys.secret_key)
    SECRETS.learn(_TOKEN, keys.token)
    return keys._replace(
        access_key=usable(keys.access_key or "", _KEY, source),
        secret_key=usable(keys.secret_key or "", _SECRET, source),
        token=usable(keys.token, _TOKEN, source) if keys.token else keys.token,
    )


def _missing(source: str, error: Exception) -> AwsCredentialsMissing:
    return AwsCredentialsMissing(
        f"the AWS credentials of {source} cannot be used: {type(error).__name__}: {error}: {credentials_advice(error)}"
    )

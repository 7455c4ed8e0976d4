"""Turns exceptions of botocore into errors of `flows.errors`, by the exception's class and AWS's error code."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flows.errors import AwsCredentialsMissing, InvalidEndpoint, RunError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_MISSING: Final = {
    "NoSuchKey",
    "NoSuchBucket",
    "404",
    "NotFound",
    "ResourceNotFoundException",
    "InvalidRequestException",
}
_DENIED: Final = {"AccessDenied", "AccessDeniedException", "403", "Forbidden", "AllAccessDisabled", "DecryptionFailure"}
_CREDENTIALS: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_TRANSIENT: Final = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "TooManyRequestsException",
}
_CREDENTIAL_OPERATIONS: Final = {
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "CreateToken",
    "GetRoleCredentials",
}
"""The AWS operations that botocore calls by itself, to get credentials for the operation that the program calls."""

_FIRST_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class ServiceErrors:
    """The error classes for requests about one AWS resource. `resource` is the resource's name in messages."""

    resource: str
    missing: type[RunError]
    denied: type[RunError]
    unavailable: type[RunError]


def is_transient(error: Exception) -> bool:
    """Return whether the next request for credentials may succeed after this error."""
    from botocore import exceptions as botocore  # noqa: PLC0415

    if isinstance(error, botocore.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code in _TRANSIENT or status >= _FIRST_SERVER_ERROR
    network_errors = (
        botocore.ConnectionError,
        botocore.HTTPClientError,
        botocore.CredentialRetrievalError,
        botocore.MetadataRetrievalError,
    )
    return isinstance(error, network_errors) or not isinstance(error, botocore.BotoCoreError)


@contextmanager
def named_errors(errors: ServiceErrors) -> Iterator[None]:
    """Turn botocore's errors in the context into errors of `flows.errors`; other exceptions pass unchanged."""
    try:
        yield
    except Exception as error:
        if named := _named(error, errors):
            raise named from None
        raise


def _named(error: Exception, errors: ServiceErrors) -> RunError | None:
    from botocore import exceptions as botocore  # noqa: PLC0415

    credential_errors = (
        botocore.NoCredentialsError,
        botocore.PartialCredentialsError,
        botocore.CredentialRetrievalError,
        botocore.NoRegionError,
        botocore.ProfileNotFound,
        botocore.ConfigNotFound,
        botocore.ConfigParseError,
        botocore.InvalidConfigError,
        botocore.UnknownCredentialError,
        botocore.RefreshWithMFAUnsupportedError,
        botocore.NoAuthTokenError,
        botocore.TokenRetrievalError,
        botocore.SSOError,
        botocore.LoginError,
    )
    if isinstance(error, botocore.ClientError):
        return _client_error(error, errors)
    if isinstance(error, credential_errors):
        return AwsCredentialsMissing(f"{errors.resource}: {error}: {credentials_advice(error)}")
    if isinstance(error, ValueError) and "endpoint" in str(error):
        return InvalidEndpoint(f"{errors.resource}: {error}: correct endpoint_url of the AWS profile")
    if isinstance(error, botocore.BotoCoreError):
        return errors.unavailable(f"{errors.resource}: AWS did not answer: {error}")
    return None


def credentials_advice(error: Exception) -> str:
    """Return advice on how to fix an error with AWS credentials. It is for the operator, as the end of a message."""
    from botocore import exceptions as botocore  # noqa: PLC0415

    profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    if isinstance(error, (botocore.SSOError, botocore.TokenRetrievalError)):
        return f"the session has expired or was never opened: run `aws sso login --profile {profile}`"
    if isinstance(error, botocore.LoginError):
        return f"the session has expired or was never opened: run `aws login --profile {profile}`"
    if isinstance(error, botocore.ProfileNotFound):
        from botocore.session import Session  # noqa: PLC0415

        names = ", ".join(Session().available_profiles) or "none"
        return f"set AWS_PROFILE to a profile of this machine ({names}), or unset it"
    return "supply a role, a profile or keys"


def _client_error(error: "ClientError", errors: ServiceErrors) -> RunError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CREDENTIALS:
        return AwsCredentialsMissing(f"{errors.resource}: AWS refuses the credentials ({code}): renew them")
    if error.operation_name in _CREDENTIAL_OPERATIONS and code not in _TRANSIENT and status < _FIRST_SERVER_ERROR:
        return AwsCredentialsMissing(
            f"{errors.resource}: AWS refused {error.operation_name}, the call for credentials ({code}): {message}"
        )
    if code in _MISSING:
        return errors.missing(f"{errors.resource} does not exist in this account and region: check its name ({code})")
    if code in _DENIED:
        return errors.denied(
            f"{errors.resource}: the role of this process may not read it: grant the role the permission ({message})"
        )
    if code in _TRANSIENT or status >= _FIRST_SERVER_ERROR:
        return errors.unavailable(f"{errors.resource}: AWS answered {status} {code}")
    return errors.denied(f"{errors.resource}: AWS refused the request with {status} {code}: {message}")

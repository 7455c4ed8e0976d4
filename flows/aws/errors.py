"""Errors of AWS, by botocore's classes and codes, as named errors of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flows.errors import AwsCredentialsMissing, RunError

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
_FIRST_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class ServiceErrors:
    """The named errors that one service's errors become; `what` names the resource that was requested."""

    what: str
    missing: type[RunError]
    denied: type[RunError]
    unavailable: type[RunError]


def may_pass(error: Exception) -> bool:
    """Whether an error in getting credentials may pass by itself."""
    from botocore import exceptions as botocore  # noqa: PLC0415

    if isinstance(error, botocore.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code in _TRANSIENT or status >= _FIRST_SERVER_ERROR
    network = (
        botocore.ConnectionError,
        botocore.HTTPClientError,
        botocore.CredentialRetrievalError,
        botocore.MetadataRetrievalError,
    )
    return isinstance(error, network) or not isinstance(error, botocore.BotoCoreError)


@contextmanager
def named_errors(errors: ServiceErrors) -> Iterator[None]:
    """Turn botocore's errors into the service's named ones."""
    try:
        yield
    except Exception as error:
        if named := _named(error, errors):
            raise named from None
        raise


def _named(error: Exception, errors: ServiceErrors) -> RunError | None:
    from botocore import exceptions as botocore  # noqa: PLC0415

    credentials = (
        botocore.NoCredentialsError,
        botocore.PartialCredentialsError,
        botocore.CredentialRetrievalError,
        botocore.NoRegionError,
        botocore.ProfileNotFound,
    )
    if isinstance(error, botocore.ClientError):
        return _client_error(error, errors)
    if isinstance(error, credentials):
        return AwsCredentialsMissing(f"{errors.what}: {error}: give the process a role, a profile or keys")
    if isinstance(error, botocore.BotoCoreError):
        return errors.unavailable(f"{errors.what}: AWS did not answer: {error}")
    return None


def _client_error(error: "ClientError", errors: ServiceErrors) -> RunError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CREDENTIALS:
        return AwsCredentialsMissing(f"{errors.what}: AWS refuses the credentials ({code}): renew them")
    if code in _MISSING:
        return errors.missing(
            f"{errors.what} does not exist, as this account and region see it: check its name ({code})"
        )
    if code in _DENIED:
        return errors.denied(f"{errors.what}: this process's role may not read it: grant it the permission ({message})")
    if code in _TRANSIENT or status >= _FIRST_SERVER_ERROR:
        return errors.unavailable(f"{errors.what}: AWS answered {status} {code}")
    return errors.denied(f"{errors.what}: AWS refused the request with {status} {code}: {message}")

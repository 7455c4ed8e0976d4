"""Errors of AWS, by botocore's codes, as errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from flows.errors import AwsCredentialsMissing, RunError

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.exceptions import ClientError
    from botocore.loaders import Loader

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60

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
_PASSING: Final = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "TooManyRequestsException",
}
_FIRST_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class Outcomes:
    """The errors that one service's answers become; `what` is the thing asked for."""

    what: str
    missing: type[RunError]
    denied: type[RunError]
    unavailable: type[RunError]


def new_session(region: str) -> "Session":
    """Return a session with the process's own credentials: a role, a profile or keys."""
    from boto3 import Session  # noqa: PLC0415 (here and below: a fifth of a second, for those who call AWS)
    from botocore.session import get_session  # noqa: PLC0415

    session = get_session()
    session.register_component("data_loader", _models())
    return Session(botocore_session=session, region_name=region)


@cache
def _models() -> "Loader":
    """Return what loads the descriptions of AWS's services, and remembers them: a tenth of a second for two."""
    from botocore.session import get_session  # noqa: PLC0415

    loader: Loader = get_session().get_component("data_loader")
    return loader


def load_models(*services: str) -> None:
    """Load the descriptions of services before somebody waits for a client."""
    _models().load_data_with_path("endpoints")
    _models().load_data_with_path("partitions")
    for service in services:
        for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
            _models().load_service_model(service, kind)


def client_config(max_connections: int = 10) -> Any:  # noqa: ANN401 (botocore's Config has no types at run time)
    """Return botocore's configuration for our clients: bounded waits, and three tries before the task's own retries."""
    from botocore.config import Config  # noqa: PLC0415

    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=max_connections,
        retries={"mode": "standard", "total_max_attempts": 3},
    )


def passes(error: Exception) -> bool:
    """Whether an error in getting credentials may pass by itself."""
    from botocore import exceptions as botocore  # noqa: PLC0415

    if isinstance(error, botocore.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code in _PASSING or status >= _FIRST_SERVER_ERROR
    network = (
        botocore.ConnectionError,
        botocore.HTTPClientError,
        botocore.CredentialRetrievalError,
        botocore.MetadataRetrievalError,
    )
    return isinstance(error, network) or not isinstance(error, botocore.BotoCoreError)


@contextmanager
def named_errors(outcomes: Outcomes) -> Iterator[None]:
    """Turn botocore's errors into the service's named ones."""
    try:
        yield
    except Exception as error:
        if named := _named(error, outcomes):
            raise named from None
        raise


def _named(error: Exception, outcomes: Outcomes) -> RunError | None:
    from botocore import exceptions as botocore  # noqa: PLC0415

    credentials = (
        botocore.NoCredentialsError,
        botocore.PartialCredentialsError,
        botocore.CredentialRetrievalError,
        botocore.NoRegionError,
        botocore.ProfileNotFound,
    )
    if isinstance(error, botocore.ClientError):
        return _client_error(error, outcomes)
    if isinstance(error, credentials):
        return AwsCredentialsMissing(f"{outcomes.what}: {error}: give the process a role, a profile or keys")
    if isinstance(error, botocore.BotoCoreError):
        return outcomes.unavailable(f"{outcomes.what}: AWS did not answer: {error}")
    return None


def _client_error(error: "ClientError", outcomes: Outcomes) -> RunError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CREDENTIALS:
        return AwsCredentialsMissing(f"{outcomes.what}: AWS refuses the credentials ({code}): renew them")
    if code in _MISSING:
        return outcomes.missing(
            f"{outcomes.what} does not exist, as this account and region see it: check its name ({code})"
        )
    if code in _DENIED:
        return outcomes.denied(
            f"{outcomes.what}: this process's role may not read it: grant it the permission ({said})"
        )
    if code in _PASSING or status >= _FIRST_SERVER_ERROR:
        return outcomes.unavailable(f"{outcomes.what}: AWS answered {status} {code}")
    return outcomes.denied(f"{outcomes.what}: AWS refused the request with {status} {code}: {said}")

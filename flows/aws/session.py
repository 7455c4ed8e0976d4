"""Creates AWS sessions with the process's own credentials, and the configuration of AWS clients."""

import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.loaders import Loader

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60


def new_boto3_session(region: str) -> "Session":
    """Return a session with the credentials of this process: a role, a profile or keys."""
    from boto3 import Session  # noqa: PLC0415 (here and below: the import takes a fifth of a second)
    from botocore.session import get_session  # noqa: PLC0415

    # These loggers add a traceback to warnings. The error that follows says what a user needs to know.
    for logger in ("botocore.credentials", "botocore.tokens"):
        logging.getLogger(logger).addFilter(_without_traceback)
    session = get_session()
    session.register_component("data_loader", _models())
    return Session(botocore_session=session, region_name=region)


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


@cache
def _models() -> "Loader":
    """Return the loader of AWS service descriptions. It caches them, because each takes about 0.05 s to load."""
    from botocore.session import get_session  # noqa: PLC0415

    loader: Loader = get_session().get_component("data_loader")
    return loader


def load_models(*services: str) -> None:
    """Load the descriptions of AWS services before the first client needs them."""
    _models().load_data_with_path("endpoints")
    _models().load_data_with_path("partitions")
    for service in services:
        for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
            _models().load_service_model(service, kind)


def client_config(max_connections: int = 10) -> Any:  # noqa: ANN401 (botocore's Config has no types at run time)
    """Return the configuration of an AWS client: time limits, and three tries per request before a call fails."""
    from botocore.config import Config  # noqa: PLC0415

    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=max_connections,
        retries={"mode": "standard", "total_max_attempts": 3},
    )

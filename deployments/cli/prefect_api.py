"""Connects the commands to the Prefect server that Prefect's own settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import get_current_settings
from pydantic import SecretStr

from deployments.cli.errors import NoPrefectApi

_LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 (compared with, not listened on)


def api_url() -> str:
    """Return the URL of the configured Prefect API; raise `NoPrefectApi` if no API is configured."""
    url = get_current_settings().api.url
    if not url:
        raise NoPrefectApi(
            "no Prefect API is configured: set PREFECT_API_URL, which is http://127.0.0.1:4200/api for a server that "
            "`prefect server start` started, or run `prefect cloud login`"
        )
    return url


def is_loopback(url: str) -> bool:
    """Return whether the host in the URL is a loopback address, which only this machine can reach."""
    return (urlsplit(url).hostname or "") in _LOOPBACK


def credentials() -> tuple[str, SecretStr] | None:
    """Return the kind ("key" or "auth string") and the value of the Prefect API's credentials; None if not set."""
    settings = get_current_settings().api
    if settings.key:
        return "key", settings.key
    return ("auth string", settings.auth_string) if settings.auth_string else None


@contextmanager
def prefect_api() -> Iterator[SyncPrefectClient]:
    """Yield a client of the configured Prefect API.

    Raises:
        NoPrefectApi: No API is configured, or the configured API does not answer.
    """
    url = api_url()
    with get_client(sync_client=True) as client:
        try:
            client.hello().raise_for_status()
        except httpx.HTTPError as error:
            raise NoPrefectApi(
                f"the Prefect API {url} does not answer: {str(error) or type(error).__name__}: start the server, or "
                "correct PREFECT_API_URL"
            ) from None
        yield client

"""Asks the forge when the git token expires. It is not an error if the forge does not answer or does not know."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from pydantic import SecretStr

from flows.forges.base import Forge
from flows.forges.table import forge_of
from flows.parameters.addresses import RepoUrl

_TIMEOUT_SECONDS: Final = 5
_TIME: Final = "%Y-%m-%d %H:%M:%S %z"


def token_expiry(url: RepoUrl, token: SecretStr) -> datetime | None:
    """Return when the token expires; None if the time is not known, or the token never expires.

    The token is sent only to the API of the repository's forge, at the address that `Forge.expiry_url` returns.
    """
    forge = forge_of(url.url)
    address = forge.expiry_url(url.url.removesuffix(".git")) if forge else ""
    return read_expiry(forge, address, token) if forge and address else None


def read_expiry(forge: Forge, address: str, token: SecretStr) -> datetime | None:
    """Return when the token expires, according to the forge's API at `address`; None if the API does not tell."""
    import httpx  # noqa: PLC0415 (here and below: the import takes a moment, while the clone has begun)

    from flows.certificates import ca_certificates  # noqa: PLC0415

    headers = {"authorization": f"Bearer {token.get_secret_value()}", "accept": "application/json"}
    try:
        response = httpx.get(address, headers=headers, timeout=_TIMEOUT_SECONDS, verify=ca_certificates())
        body = response.json() if response.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):  # the third: the file of the CA certificates
        return None
    return _moment(forge.expiry(response.headers, body))


def _moment(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.strptime(text, _TIME).astimezone(UTC)
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None

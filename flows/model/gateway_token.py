"""The header of the gateway's token. It is not in `gateway`, whose import takes a third of a second."""

from typing import Final

GATEWAY_TOKEN_HEADER: Final = "x-gateway-token"  # noqa: S105 (a header's name)

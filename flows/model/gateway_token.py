"""The header that carries the gateway's token. It has its own module because importing `gateway` takes 0.3 s."""

from typing import Final

GATEWAY_TOKEN_HEADER: Final = "x-gateway-token"  # noqa: S105 (a header's name)

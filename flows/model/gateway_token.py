"""How the agent proves itself to the model gateway. Apart from the gateway, whose import takes a third of a second."""

from typing import Final

GATEWAY_TOKEN_HEADER: Final = "x-gateway-token"  # noqa: S105 (a header's name)

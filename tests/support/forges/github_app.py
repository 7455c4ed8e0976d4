"""A stand-in of the part of GitHub's API that makes tokens of a GitHub App."""

import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest

KEY: Final = rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """Return a private key as the text of its file."""
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


APP_FIELDS: Final = {"app_id": 123456, "private_key": pem(KEY, PrivateFormat.TraditionalOpenSSL)}
_TOKEN: Final = "ghs_" + "a1B2" * 9


class AppServer(LoopbackServer):
    """The part of GitHub's API that is for Apps; the App 123456 is installed for acme with the id 99."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: tuple[int, Any] | None = None

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        status, body = self.fault or self._reply(request)
        exchange.reply(status, json.dumps(body).encode())

    def _reply(self, request: ReceivedRequest) -> tuple[int, Any]:
        signature = request.headers["authorization"].removeprefix("Bearer ")
        try:
            claims = jwt.decode(signature, KEY.public_key(), ["RS256"], options={"verify_iat": True}, issuer="123456")
        except jwt.InvalidTokenError:
            return 401, {"message": "A JSON web token could not be decoded"}
        if claims["exp"] - time.time() > 600:
            return 401, {"message": "'Expiration time' claim ('exp') is too far in the future"}
        match request.method, request.path, request.body:
            case "GET", "/api/v3/repos/acme/widgets/installation", b"":
                return 200, {"id": 99, "app_id": 123456}
            case "POST", "/api/v3/app/installations/99/access_tokens", b'{"repositories":["widgets"]}':
                return 201, {"token": _TOKEN, "expires_at": "2026-11-28T08:00:00Z"}
        return 404, {"message": "Not Found"}


def installation_token() -> str:
    """Return the token that the App gets."""
    return _TOKEN

"""Reads the provider's own error from a failed reply of the model, because Claude Code only paraphrases it.

The formats are Anthropic's (https://docs.claude.com/en/api/errors) and Bedrock's
(https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html). A proxy in between may send other formats.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flows.redaction import redact
from flows.text_safety import one_line

_MAX_CHARACTERS: Final = 500
_READ_AHEAD: Final = 8
"""How many characters of an HTML page are read for each character of the message. Most of a page is tags."""

_AWS_KIND: Final = "x-amzn-errortype"
_TAG: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_FIRST_ERROR: Final = 400
_FAILING_STOPS: Final = ("refusal", "model_context_window_exceeded")


@dataclass(frozen=True)
class ProviderError:
    """Why the last request to the model failed, in the provider's words."""

    status: int = 0
    """The HTTP status; 0 if no reply came; below 400 if a reply began and did not end well."""
    kind: str = ""
    """The provider's type of error, such as `overloaded_error` or `ThrottlingException`, or a `stop_reason`."""
    message: str = ""

    def __str__(self) -> str:
        status = str(self.status) if self.status >= _FIRST_ERROR else ""
        return ": ".join(filter(None, (" ".join(filter(None, (status, self.kind))), self.message)))


def error_of_reply(status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
    """Return the error in a reply with an error status."""
    text = content.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = _TAG.sub(" ", text[: _MAX_CHARACTERS * _READ_AHEAD])
    kind = re.split("[:#]", headers.get(_AWS_KIND, ""))[0]
    return _error(status, kind, body)


def error_of_event(event: Mapping[str, Any]) -> ProviderError | None:
    """Return the error in an event of a stream, or in a whole message; None if there is no error."""
    if event.get("type") == "error":
        return _error(200, "", event)
    delta = event.get("delta") if event.get("type") == "message_delta" else event
    if not isinstance(delta, dict) or delta.get("stop_reason") not in _FAILING_STOPS:
        return None
    details = delta.get("stop_details")
    return _error(200, str(delta["stop_reason"]), details if isinstance(details, dict) else {})


def connection_error(error: Exception) -> ProviderError:
    """Return the error for a request that got no reply."""
    return _error(0, "connection error", f"{type(error).__name__}: {error}")


def cut_off() -> ProviderError:
    """Return the error for a reply that began and broke off."""
    return ProviderError(200, "incomplete reply", "the reply broke off")


def _error(status: int, kind: str, body: object) -> ProviderError:
    """Return the error in a body of any format. If `error` objects are nested, the innermost counts."""
    while isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if isinstance(body, dict):
        names = ("message", "Message", "explanation", "detail", "error", "category")
        message = next((body[name] for name in names if isinstance(body.get(name), str) and body[name]), "")
        kind = kind or str(body.get("type") or body.get("__type") or body.get("code") or "")
    else:
        message = body if isinstance(body, str) else ""
    return ProviderError(status, _short(kind), _short(message))


def _short(text: str) -> str:
    # Redacted before the cut, which would leave half of a secret.
    return redact(one_line(text))[:_MAX_CHARACTERS]

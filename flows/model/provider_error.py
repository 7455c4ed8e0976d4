"""Reads the provider's own error message from a failed reply, because Claude Code only paraphrases the message.

The formats are Anthropic's (https://docs.claude.com/en/api/errors) and Bedrock's
(https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html). A proxy before the provider may use others.
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
"""Of an HTML error page, this many characters are read for each character of the message. Most of a page is tags."""

_AWS_KIND: Final = "x-amzn-errortype"
_TAG: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_FIRST_ERROR: Final = 400
_FAILING_STOPS: Final = ("refusal", "model_context_window_exceeded")


@dataclass(frozen=True)
class ProviderError:
    """Why a request to the model failed, in the provider's words."""

    status: int = 0
    """The HTTP status; 0 if no reply came; below 400 if a reply began as a success but did not end well."""
    kind: str = ""
    """The provider's type of error, such as `overloaded_error` or `ThrottlingException`, or a reply's `stop_reason`."""
    message: str = ""

    def __str__(self) -> str:
        status = str(self.status) if self.status >= _FIRST_ERROR else ""
        return ": ".join(filter(None, (" ".join(filter(None, (status, self.kind))), self.message)))


def error_of_reply(status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
    """Return the error that a reply with an HTTP error status describes."""
    text = content.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = _TAG.sub(" ", text[: _MAX_CHARACTERS * _READ_AHEAD])
    kind = re.split("[:#]", headers.get(_AWS_KIND, ""))[0]
    return _error(status, kind, body)


def error_of_event(event: Mapping[str, Any]) -> ProviderError | None:
    """Return the error that an event of a streamed reply, or a whole reply, describes; None if it describes none."""
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
    """Return the error for a reply that began but broke off."""
    return ProviderError(200, "incomplete reply", "the reply broke off")


def _error(status: int, kind: str, body: object) -> ProviderError:
    """Return the error that a reply's body of any format describes. Of nested `error` objects, the innermost counts."""
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

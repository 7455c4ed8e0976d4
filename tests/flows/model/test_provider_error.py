"""The provider's own words are found in each form of an error, and never hold a secret of the run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.model.provider_error import ProviderError, error_of_event, error_of_reply
from flows.redaction import SECRETS


@pytest.mark.parametrize(
    ("status", "headers", "content", "error"),
    [
        (529, {}, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}',
         ProviderError(529, "overloaded_error", "Overloaded")),
        (400, {"x-amzn-errortype": "ValidationException:http://internal.amazon.com/coral/"}, '{"message":"no"}',
         ProviderError(400, "ValidationException", "no")),
        (403, {}, '{"__type":"UnrecognizedClientException","Message":"no such token"}',
         ProviderError(403, "UnrecognizedClientException", "no such token")),
        (401, {}, '{"error":{"error":{"message":"wrong key","code":"401"}}}', ProviderError(401, "401", "wrong key")),
        (500, {}, '{"error":"upstream failed"}', ProviderError(500, "", "upstream failed")),
        (422, {}, '{"detail":"model is missing"}', ProviderError(422, "", "model is missing")),
        (502, {}, "<html><head><style>p{}</style></head>\n<h1>502 Bad Gateway</h1><p>nginx</p></html>",
         ProviderError(502, "", "502 Bad Gateway nginx")),
        (503, {}, "", ProviderError(503)),
        (503, {}, "[]", ProviderError(503)),
    ],
)  # fmt: skip
def test_each_form_of_an_error_is_read(
    status: int, headers: dict[str, str], content: str, error: ProviderError
) -> None:
    read = error_of_reply(status, headers, content.encode())
    assert (read.status, read.kind, " ".join(read.message.split())) == (error.status, error.kind, error.message)


def test_an_error_on_one_line_has_the_status_the_kind_and_the_words() -> None:
    assert str(ProviderError(529, "overloaded_error", "Overloaded")) == "529 overloaded_error: Overloaded"
    assert str(ProviderError(200, "refusal", "It asks for malware.")) == "refusal: It asks for malware."
    assert str(ProviderError(503)) == "503"


@pytest.mark.parametrize("stop_reason", ["end_turn", "tool_use", "max_tokens", "pause_turn", None, 3, ["refusal"]])
def test_a_reply_that_stopped_for_another_reason_is_no_error(stop_reason: object) -> None:
    assert error_of_event({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {}}) is None


def test_a_secret_of_the_run_is_not_repeated() -> None:
    with SECRETS.run_scope():
        SECRETS.learn("a key", "sesame-open-sesame")
        content = json.dumps({"message": "x" * 490 + "sesame-open-sesame"}).encode()
        assert "sesame" not in str(error_of_reply(403, {}, content))


@given(st.binary(max_size=200), st.recursive(st.none() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_any_reply_is_read_without_an_error(content: bytes, body: object) -> None:
    error_of_reply(500, {}, content)
    error_of_reply(500, {}, json.dumps({"error": body}).encode())
    error_of_event({"type": "message_delta", "delta": body})

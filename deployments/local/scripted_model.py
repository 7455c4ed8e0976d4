"""A model that follows a script, behind the two APIs that Claude Code speaks.

It answers as Anthropic's Messages API (server-sent events) and as Bedrock's InvokeModelWithResponseStream (AWS event
stream), checks the API key or recomputes the request's signature, and knows a few models. Whatever the agent asks, the
reply is the script's next turn; which one is next is read from the conversation, so that a retry gets the same again.
"""

import base64
import binascii
import json
import re
import struct
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deployments.local.loopback import Asked, Exchange, LoopbackServer
from flows.parameters.provider import DEFAULT_MODEL_IDS, default_model_id

_INTERRUPTED: Final = re.compile(r"\[Tool call interrupted|Exit code 137")
_FILLED_IN: Final = "No response requested."
"""What Claude Code puts into a conversation that was interrupted: about a tool, and for a reply that never came.

The tool's is the first where Claude Code was killed, and the second where it was told to end, and killed the tool.
"""

_MODELS: Final = {*DEFAULT_MODEL_IDS.values(), default_model_id("bedrock", "eu-central-1")}
_BEDROCK: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream)")
_PLACES: Final = {
    "cwd": re.compile(r"[Ww]orking directory(?: is|:) (/[^\s,\"'`\\]+)"),
    "instructions": re.compile(r"(?:requirements in the directory|instructions are in) (/[^\s,:\"'`\\]+)"),
}
"""Where the agent is told that it works; what it was told last counts, as it may have moved to another machine."""

_AWS_ERRORS: Final = {
    400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException",
    429: "ThrottlingException", 503: "ServiceUnavailableException",
}  # fmt: skip
_ANTHROPIC_ERRORS: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip


@dataclass(frozen=True)
class Tool:
    """A tool that the model uses; `{cwd}` and `{instructions}` in its strings become the run's directories."""

    name: str
    input: dict[str, str]


@dataclass(frozen=True)
class Turn:
    """One reply. Without tools it is the last one."""

    text: str
    tools: tuple[Tool, ...] = ()
    seconds: float = 0
    """How long the model takes to begin."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Tokens, where they are to differ from the usual."""


@dataclass(frozen=True)
class ModelFault:
    """How the next reply fails: with a status, or (0) by a connection that breaks off in the middle."""

    status: int = 0
    message: str = "a scripted fault"


@dataclass
class Script:
    """What the model says, turn by turn, and what goes wrong before that."""

    turns: tuple[Turn, ...]
    faults: deque[ModelFault] = field(default_factory=deque)
    instructions_hold: str = ""
    """A text of the instructions that this script implements; empty for a script that fits all instructions."""


class ScriptedModel(LoopbackServer):
    """Serves one script at a time to whoever has the key."""

    def __init__(self, api_key: str, aws_access_key_id: str, aws_secret_access_key: str) -> None:
        super().__init__()
        self.script = Script((Turn("There is nothing to do."),))
        self.script_for_other_instructions: Script | None = None
        """What the model does if the instructions are not those of its script."""
        self._api_key = api_key
        self._aws = Credentials(aws_access_key_id, aws_secret_access_key)

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        """Answer a request for a message; everything else is not found."""
        path = asked.path.partition("?")[0]
        bedrock = _BEDROCK.fullmatch(path)
        if asked.method != "POST" or not (bedrock or path == "/v1/messages"):
            _refuse(exchange, 404, f"no {path} here", is_bedrock=bool(bedrock))
            return
        body = json.loads(asked.body)
        model = unquote(bedrock[1]) if bedrock else body["model"]
        if refusal := self._refusal(asked, model, is_bedrock=bool(bedrock)):
            _refuse(exchange, *refusal, is_bedrock=bool(bedrock))
            return
        script = self._script_for(asked.body.decode("utf-8", "replace"))
        fault = script.faults.popleft() if script.faults else None
        if fault and fault.status:
            _refuse(exchange, fault.status, fault.message, is_bedrock=bool(bedrock))
            return
        turn = _placed(script.turns[min(_turns_done(body), len(script.turns) - 1)], body)
        time.sleep(turn.seconds)
        message = _message(turn, model)
        if (bedrock and bedrock[2] == "invoke") or (not bedrock and not body.get("stream")):
            exchange.reply(200, json.dumps(message).encode())
        else:
            _stream(exchange, message, is_bedrock=bool(bedrock), breaks_off=fault is not None)

    def _script_for(self, request: str) -> Script:
        is_known = self.script.instructions_hold in request
        return self.script if is_known or not self.script_for_other_instructions else self.script_for_other_instructions

    def _refusal(self, asked: Asked, model: str, *, is_bedrock: bool) -> tuple[int, str] | None:
        if is_bedrock and not self._is_signed(asked):
            return 403, "The security token included in the request is invalid."
        if not is_bedrock and asked.headers.get("x-api-key") != self._api_key:
            return 401, "invalid x-api-key"
        if model not in _MODELS:
            return (400, "The provided model identifier is invalid.") if is_bedrock else (404, f"model: {model}")
        return None

    def _is_signed(self, asked: Asked) -> bool:
        """Recompute the signature from the request as it arrived."""
        given = asked.headers.get("authorization", "")
        parts = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/([^/]+)/bedrock/aws4_request, "
            r"SignedHeaders=([^,]+), Signature=(\w+)",
            given,
        )
        if parts is None or parts[1] != self._aws.access_key:
            return False
        headers = {name: asked.headers[name] for name in parts[3].split(";") if name != "host"}
        request = AWSRequest(asked.method, f"http://{asked.headers['host']}{asked.path}", headers, asked.body)
        request.context["timestamp"] = asked.headers.get("x-amz-date", "")
        signer = SigV4Auth(self._aws, "bedrock", parts[2])
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        return bool(signer.signature(to_sign, request) == parts[4])


def _turns_done(body: dict[str, Any]) -> int:
    """Count the replies that came to something: a tool that was interrupted is used again."""
    messages: list[dict[str, Any]] = body.get("messages", [])
    replies = [json.dumps(message["content"]) for message in messages if message.get("role") == "assistant"]
    ours = [reply for reply in replies if _FILLED_IN not in reply]
    return len(ours) - len(_INTERRUPTED.findall(json.dumps(messages)))


def _placed(turn: Turn, body: dict[str, Any]) -> Turn:
    said = json.dumps(body).replace("\\n", "\n")
    places = {name: found[-1] for name, pattern in _PLACES.items() if (found := pattern.findall(said))}

    def put(text: str) -> str:
        for name, place in places.items():
            text = text.replace(f"{{{name}}}", place)
        return text

    tools = tuple(Tool(t.name, {key: put(value) for key, value in t.input.items()}) for t in turn.tools)
    return replace(turn, text=put(turn.text), tools=tools)


def _message(turn: Turn, model: str) -> dict[str, Any]:
    uses = [
        {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:22]}", "name": t.name, "input": t.input}
        for t in turn.tools
    ]
    return {
        "id": f"msg_{uuid.uuid4().hex[:22]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": turn.text}, *uses],
        "stop_reason": "tool_use" if uses else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 1200,
            "output_tokens": 150,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            **turn.usage,
        },
    }


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    for index, block in enumerate(message["content"]):
        is_text = block["type"] == "text"
        start = {**block, "text": ""} if is_text else {**block, "input": {}}
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if is_text
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _stream(exchange: Exchange, message: dict[str, Any], *, is_bedrock: bool, breaks_off: bool) -> None:
    exchange.send_response(200)
    exchange.send_header("content-type", "application/vnd.amazon.eventstream" if is_bedrock else "text/event-stream")
    exchange.send_header("transfer-encoding", "chunked")
    exchange.end_headers()
    for event in _events(message):
        text = json.dumps(event)
        exchange.chunk(_frame(text) if is_bedrock else f"event: {event['type']}\ndata: {text}\n\n".encode())
        if breaks_off:
            exchange.drop()
            return
    exchange.chunk(b"")


def _frame(event: str) -> bytes:
    """One message of AWS's event stream: lengths, checksum, headers, payload, checksum."""
    payload = json.dumps({"bytes": base64.b64encode(event.encode()).decode()}).encode()
    names = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in names.items()
    )
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", binascii.crc32(message))


def _refuse(exchange: Exchange, status: int, message: str, *, is_bedrock: bool) -> None:
    if is_bedrock:
        kind = _AWS_ERRORS.get(status, "InternalServerException")
        exchange.reply(status, json.dumps({"message": message}).encode(), {"x-amzn-errortype": kind})
        return
    kind = _ANTHROPIC_ERRORS.get(status, "api_error")
    exchange.reply(status, json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode())

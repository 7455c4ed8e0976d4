"""A server that replies from a script instead of a model, through either of the two APIs that Claude Code can use.

The APIs are Anthropic's Messages API (server-sent events) and Bedrock's InvokeModelWithResponseStream (AWS event
stream). The server checks the API key or the request's signature, and knows a few model ids. Each reply is the next
turn of the script, no matter what the request says. The number of turns in the request's conversation determines which
turn is next, so that a retry gets the same reply.
"""

import json
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deployments.local.aws_event_stream import event_frame, exception_frame
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.agent.final_answer import ANSWER_TOOL
from flows.parameters.provider import DEFAULT_MODEL_IDS, default_model_id

_INTERRUPTED: Final = re.compile(r"\[Tool call interrupted|Exit code 137")
_FILLED_IN: Final = "No response requested."
"""The texts that Claude Code adds to an interrupted conversation.

`_INTERRUPTED` matches the result that Claude Code adds for the tool, and `_FILLED_IN` is its text for the missing
reply. The first alternative of `_INTERRUPTED` appears if Claude Code was killed, and the second one if Claude Code was
stopped and killed the tool.
"""

_MODELS: Final = {*DEFAULT_MODEL_IDS.values(), default_model_id("bedrock", "eu-central-1")}
_BEDROCK: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream)")
_DIRECTORIES: Final = {
    "cwd": re.compile(r"[Ww]orking directory(?: is|:) (/[^\s,\"'`\\]+)"),
    "instructions": re.compile(r"(?:requirements in the directory|instructions are in) (/[^\s,:\"'`\\]+)"),
}
"""Patterns that find the agent's directories in a conversation.

The last match counts, because the run may have continued on another machine.
"""

_TITLE_CHARACTERS: Final = 70
_FIRST_ERROR: Final = 400
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
    """A tool call by the model. In its inputs, `{cwd}` and `{instructions}` are replaced by the run's directories."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """One reply of the model. A reply without tool calls is the model's last reply."""

    text: str
    tools: tuple[Tool, ...] = ()
    seconds: float = 0
    """How many seconds the model waits before it replies."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Token counts that replace the default token counts."""
    stop: Mapping[str, Any] = field(default_factory=dict)
    """Fields at the end of the reply, such as `stop_reason`, that replace the default fields."""
    ping_seconds: float = 0
    """How many seconds pass before the first text of the stream. A ping is sent each second, as by the real API."""
    answer: Mapping[str, Any] | None = field(default_factory=dict)
    """Fields of the final answer that replace the default ones, if this is the last reply; None for no answer."""
    needs: tuple[str, ...] = ()
    """Texts that the request must contain. If one is missing, the model ends its work instead."""


@dataclass(frozen=True)
class ModelFault:
    """A failure of the next reply: an error status instead of the reply, or a failure in the middle of the reply."""

    status: int = 0
    """An HTTP error status; or 0 to drop the connection; or 200 for an error that is reported within the stream."""
    message: str = "a scripted fault"
    kind: str = ""
    """The provider's name for the type of the error. If it is empty, the status determines the type."""
    stall_seconds: float = 0
    """How many seconds the stream sends nothing before the connection drops."""


@dataclass
class Script:
    """The replies of the model, one for each turn, and the faults that occur before these replies."""

    turns: tuple[Turn, ...]
    faults: deque[ModelFault] = field(default_factory=deque)
    instructions_hold: str = ""
    """A text that the instructions of this script contain; empty for a script that fits all instructions."""


class CountedRequest(Protocol):
    """A request whose tokens are counted as a provider counts them."""

    @property
    def usage(self) -> Mapping[str, Any]:
        """The counts of input tokens for the reply."""

    def begin_reply(self, output_tokens: int) -> None:
        """Note that the reply begins. It will have this many tokens."""


class ScriptedModel(LoopbackServer):
    """A server that replies from a script instead of a model. Clients need the API key or the AWS keys."""

    def __init__(self, api_key: str, aws_access_key_id: str, aws_secret_access_key: str) -> None:
        super().__init__()
        self.script = Script((Turn("There is nothing to do."),))
        self.models = set(_MODELS)
        """The ids of the models that the server accepts."""
        self.script_for_other_instructions: Script | None = None
        """The script for instructions that `script` does not fit; None to use `script` for all instructions."""
        self.count_tokens: Callable[[dict[str, Any], str], CountedRequest] | None = None
        """Counts a request's tokens, or raises `ValueError` to refuse it. If None, all replies have the same counts."""
        self._api_key = api_key
        self._aws = Credentials(aws_access_key_id, aws_secret_access_key)

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Answer a request for a model's reply; refuse every other request with status 404."""
        path = request.path.partition("?")[0]
        bedrock = _BEDROCK.fullmatch(path)
        if request.method != "POST" or not (bedrock or path == "/v1/messages"):
            _refuse(exchange, 404, f"there is no {path}", is_bedrock=bool(bedrock))
            return
        body = json.loads(request.body)
        model = unquote(bedrock[1]) if bedrock else body["model"]
        if refusal := self._refusal(request, model, is_bedrock=bool(bedrock)):
            _refuse(exchange, *refusal, is_bedrock=bool(bedrock))
            return
        is_known = self.script.instructions_hold in request.body.decode("utf-8", "replace")
        script = self.script if is_known else self.script_for_other_instructions or self.script
        fault = script.faults.popleft() if script.faults else None
        if fault and fault.status >= _FIRST_ERROR:
            _refuse(exchange, fault.status, fault.message, fault.kind, is_bedrock=bool(bedrock))
            return
        turn = script.turns[min(_completed_turns(body), len(script.turns) - 1)]
        if missing := [text for text in turn.needs if text not in json.dumps(body, ensure_ascii=False)]:
            turn = Turn(f"I do not know what to do without: {', '.join(missing)}")
        turn = _with_directories(turn, body)
        try:
            counted = self.count_tokens(body, model) if self.count_tokens else None
        except ValueError as error:
            _refuse(exchange, 400, str(error), is_bedrock=bool(bedrock))
            return
        time.sleep(turn.seconds)
        is_streamed = bedrock[2] == "invoke-with-response-stream" if bedrock else bool(body.get("stream"))
        if fault and not is_streamed:
            _refuse(exchange, 500, fault.message, fault.kind, is_bedrock=bool(bedrock))
            return
        turn = _with_answer(turn, body)
        message = _message(turn, model, counted.usage if counted else MappingProxyType({}))
        if counted:
            counted.begin_reply(message["usage"]["output_tokens"])
        if is_streamed:
            _stream(exchange, message, is_bedrock=bool(bedrock), fault=fault, ping_seconds=turn.ping_seconds)
        else:
            exchange.reply(200, json.dumps(message).encode())

    def _refusal(self, request: ReceivedRequest, model: str, *, is_bedrock: bool) -> tuple[int, str] | None:
        """Return the error status and message that the real API would send; None if the request is valid."""
        if is_bedrock and not self._is_signed(request):
            return 403, "The security token included in the request is invalid."
        if not is_bedrock and request.headers.get("x-api-key") != self._api_key:
            return 401, "invalid x-api-key"
        if model not in self.models:
            return (400, "The provided model identifier is invalid.") if is_bedrock else (404, f"model: {model}")
        return None

    def _is_signed(self, request: ReceivedRequest) -> bool:
        """Return whether the request's AWS signature equals the signature computed from the request's contents."""
        authorization = request.headers.get("authorization", "")
        fields = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/([^/]+)/bedrock/aws4_request, "
            r"SignedHeaders=([^,]+), Signature=(\w+)",
            authorization,
        )
        if fields is None or fields[1] != self._aws.access_key:
            return False
        headers = {name: request.headers[name] for name in fields[3].split(";") if name != "host"}
        aws_request = AWSRequest(
            request.method, f"http://{request.headers['host']}{request.path}", headers, request.body
        )
        aws_request.context["timestamp"] = request.headers.get("x-amz-date", "")
        signer = SigV4Auth(self._aws, "bedrock", fields[2])
        to_sign = signer.string_to_sign(aws_request, signer.canonical_request(aws_request))
        return bool(signer.signature(to_sign, aws_request) == fields[4])


def _completed_turns(body: dict[str, Any]) -> int:
    """Return how many turns of the conversation are complete. A turn whose tool was interrupted does not count."""
    messages: list[dict[str, Any]] = body.get("messages", [])
    replies = [json.dumps(message["content"]) for message in messages if message.get("role") == "assistant"]
    turns = [reply for reply in replies if _FILLED_IN not in reply]
    return len(turns) - len(_INTERRUPTED.findall(json.dumps(messages)))


def _with_directories(turn: Turn, body: dict[str, Any]) -> Turn:
    """Return the turn with `{cwd}` and `{instructions}` replaced by the run's directories, which `body` contains."""
    conversation = json.dumps(body).replace("\\n", "\n")
    matches = {name: pattern.findall(conversation) for name, pattern in _DIRECTORIES.items()}
    directories = {name: paths[-1] for name, paths in matches.items() if paths}

    def fill_in(value: Any) -> Any:  # noqa: ANN401 (JSON)
        if not isinstance(value, str):
            return value
        for name, directory in directories.items():
            value = value.replace(f"{{{name}}}", directory)
        return value

    inputs = [{key: fill_in(value) for key, value in tool.input.items()} for tool in turn.tools]
    tools = tuple(replace(tool, input=values) for tool, values in zip(turn.tools, inputs, strict=True))
    return replace(turn, text=fill_in(turn.text), tools=tools)


def _with_answer(turn: Turn, body: dict[str, Any]) -> Turn:
    """Return the last reply with a call of the tool for the final answer, if the request offers that tool."""
    offers = any(tool.get("name") == ANSWER_TOOL for tool in body.get("tools", ()))
    if turn.tools or turn.stop or turn.answer is None or not offers:
        return turn
    title = turn.text.partition("\n")[0][:_TITLE_CHARACTERS]
    answer = {"status": "done", "title": title, "summary": turn.text, **turn.answer}
    return replace(turn, tools=(Tool(ANSWER_TOOL, answer),))


def _message(turn: Turn, model: str, usage: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    uses = [
        {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:22]}", "name": tool.name, "input": tool.input}
        for tool in turn.tools
    ]
    return {
        "id": f"msg_{uuid.uuid4().hex[:22]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": turn.text}, *uses],
        "stop_reason": "tool_use" if uses else "end_turn",
        "stop_sequence": None,
        **turn.stop,
        "usage": {
            "input_tokens": 1200,
            "output_tokens": 150,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            **usage,
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
    end = {name: value for name, value in message.items() if name.startswith("stop_")}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _stream(
    exchange: Exchange, message: dict[str, Any], *, is_bedrock: bool, fault: ModelFault | None, ping_seconds: float
) -> None:
    exchange.send_response(200)
    exchange.send_header("content-type", "application/vnd.amazon.eventstream" if is_bedrock else "text/event-stream")
    exchange.send_header("transfer-encoding", "chunked")
    exchange.end_headers()

    def send(event: dict[str, Any]) -> None:
        text = json.dumps(event)
        exchange.chunk(event_frame(text) if is_bedrock else f"event: {event['type']}\ndata: {text}\n\n".encode())

    for event in _events(message):
        send(event)
        if fault:
            if fault.status:
                if is_bedrock:
                    exchange.chunk(exception_frame(fault.kind, fault.message))
                else:
                    send({"type": "error", "error": {"type": fault.kind, "message": fault.message}})
            time.sleep(fault.stall_seconds)
            exchange.drop()
            return
        for _ in range(round(ping_seconds) if event["type"] == "message_start" else 0):
            time.sleep(1)
            send({"type": "ping"})
    exchange.chunk(b"")


def _refuse(exchange: Exchange, status: int, message: str, kind: str = "", *, is_bedrock: bool) -> None:
    if is_bedrock:
        kind = kind or _AWS_ERRORS.get(status, "InternalServerException")
        exchange.reply(status, json.dumps({"message": message}).encode(), {"x-amzn-errortype": kind})
        return
    kind = kind or _ANTHROPIC_ERRORS.get(status, "api_error")
    exchange.reply(status, json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode())

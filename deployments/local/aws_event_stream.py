"""Encodes events as messages of AWS's event stream format, in which Bedrock sends a streamed reply.

https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html
"""

import base64
import binascii
import json
import struct
from collections.abc import Mapping


def event_frame(event: str) -> bytes:
    """Encode one event of a reply."""
    payload = json.dumps({"bytes": base64.b64encode(event.encode()).decode()}).encode()
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return _message(headers, payload)


def exception_frame(kind: str, message: str) -> bytes:
    """Encode an error that occurs within a reply."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, json.dumps({"message": message}).encode())


def _message(names: Mapping[str, str], payload: bytes) -> bytes:
    """Encode a message: lengths, checksum, headers, payload, checksum."""
    headers = b"".join(
        struct.pack("B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in names.items()
    )
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", binascii.crc32(message))

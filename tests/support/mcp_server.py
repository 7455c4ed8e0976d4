"""A small MCP server over standard input and output: its tool `look_up` answers with its arguments and a variable.

It runs as the agent's user, so it needs nothing but Python's standard library.
"""

import json
import os
import sys
from typing import Any

TOOL = {
    "name": "look_up",
    "description": "Looks up a word.",
    "inputSchema": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}


def result_of(request: dict[str, Any]) -> dict[str, Any]:
    """Return the result of one request."""
    if request["method"] == "initialize":
        version = request["params"]["protocolVersion"]
        server = {"name": "words", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
    if request["method"] == "tools/list":
        return {"tools": [TOOL]}
    if request["method"] == "tools/call":
        word = request["params"]["arguments"]["word"]
        text = f"{word} is {os.environ['MEANING']}, says uid {os.getuid()} with the key {os.environ['WORDS_KEY']}"
        return {"content": [{"type": "text", "text": text}]}
    return {}


if __name__ == "__main__":
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": result_of(message)}
            sys.stdout.write(f"{json.dumps(answer)}\n")
            sys.stdout.flush()

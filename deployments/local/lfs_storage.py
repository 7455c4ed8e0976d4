"""Git LFS for the local git server: the answers of the Batch API, and a second server that stores the objects.

As with GitHub, the objects are at another origin than the git server, and each address in an answer has its own key in
a header. An upload counts only after the request that verifies it.
"""

import hashlib
import json
import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

MEDIA_TYPE: Final = "application/vnd.git-lfs+json"
_API: Final = re.compile(r"/(?P<name>.+)\.git/info/lfs/objects/batch")
_FIELDS: Final = {"operation", "transfers", "objects"}
_OBJECT: Final = re.compile(r"[0-9a-f]{64}")
_MOST_OBJECTS: Final = 100


class LfsStorage(LoopbackServer):
    """The server of the objects. `objects` has the objects of each repository, by their SHA-256."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[tuple[str, str], bytes] = {}
        self.received: dict[tuple[str, str], bytes] = {}
        """Uploaded objects that the client has not verified yet."""
        self.batches: list[dict[str, Any]] = []
        """The requests to the Batch API, in the order in which they came."""
        self.change_answer: Callable[[dict[str, Any]], object] = lambda _: None
        """Called with each answer of the Batch API before it is sent, so that a test can falsify it."""
        self.respond: Callable[[ReceivedRequest, Exchange], bool] = lambda *_: False
        """Called with each request for an object; it returns whether it has answered the request."""
        self._keys: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> str:
        """Store an object for a repository, and return the text of its pointer."""
        oid = hashlib.sha256(content).hexdigest()
        self.objects[name, oid] = content
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"

    def repository_of(self, path: str) -> str:
        """Return the repository to whose Batch API a path leads; empty for other paths."""
        match = _API.fullmatch(path)
        return match["name"] if match else ""

    def answer_api(self, name: str, request: ReceivedRequest, exchange: Exchange) -> None:
        """Answer an authorized request to the Batch API of a repository."""
        media_types = {request.headers.get(header, "") for header in ("accept", "content-type")}
        body = json.loads(request.body)
        self.batches.append(body)
        objects = body.get("objects", [])
        is_valid = (
            request.method == "POST"
            and media_types == {MEDIA_TYPE}
            and body.keys() <= _FIELDS
            and body.get("operation") in {"download", "upload"}
            and body.get("transfers") == ["basic"]
            and 0 < len(objects) <= _MOST_OBJECTS
            and all(row.keys() == {"oid", "size"} and _OBJECT.fullmatch(row["oid"]) for row in objects)
        )
        if not is_valid:
            exchange.reply(422, b'{"message": "the request is not valid"}', {"content-type": MEDIA_TYPE})
            return
        answer = {"transfer": "basic", "objects": [self._row(name, body["operation"], row) for row in objects]}
        self.change_answer(answer)
        exchange.reply(200, json.dumps(answer).encode(), {"content-type": MEDIA_TYPE})

    def _row(self, name: str, operation: str, row: dict[str, Any]) -> dict[str, Any]:
        oid = row["oid"]
        is_stored = (name, oid) in self.objects
        if operation == "download" and not is_stored:
            return {**row, "error": {"code": 404, "message": "the object does not exist"}}
        if operation == "upload" and is_stored:
            return row
        verbs = ("download",) if operation == "download" else ("upload", "verify")
        return {**row, "authenticated": True, "actions": {verb: self._action(verb, name, oid) for verb in verbs}}

    def _action(self, verb: str, name: str, oid: str) -> dict[str, Any]:
        path = f"/{verb}/{name}/{oid}"
        self._keys[path] = secrets.token_hex(8)
        return {"href": f"{self.url}{path}", "header": {"X-Storage-Key": self._keys[path]}, "expires_in": 600}

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Answer a request for an object, if it has the key of its address."""
        if self.respond(request, exchange):
            return
        if request.headers.get("x-storage-key") != self._keys.get(request.path, secrets.token_hex(8)):
            exchange.reply(403, b"{}")
            return
        _, verb, *folders, oid = request.path.split("/")
        name = "/".join(folders)
        if (request.method, verb) == ("GET", "download"):
            exchange.reply(200, self.objects[name, oid], {"content-type": "application/octet-stream"})
        elif (request.method, verb) == ("PUT", "upload"):
            is_right = hashlib.sha256(request.body).hexdigest() == oid
            self.received.update({(name, oid): request.body} if is_right else {})
            exchange.reply(200 if is_right else 422, b"{}")
        elif (request.method, verb) == ("POST", "verify"):
            content = self.received.pop((name, oid), b"")
            is_right = json.loads(request.body) == {"oid": oid, "size": len(content)} and bool(content)
            self.objects.update({(name, oid): content} if is_right else {})
            exchange.reply(200 if is_right else 404, b"{}")
        else:
            exchange.reply(405, b"{}")

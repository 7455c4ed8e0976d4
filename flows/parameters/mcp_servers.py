"""Checks the MCP servers in a Claude Code block's `mcp_servers`, which are in Claude Code's own form.

https://docs.claude.com/en/docs/claude-code/mcp describes the form. Only the keys that name a program or an address, and
what these need, are accepted. See docs/adr/0036-mcp-servers.md.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from flows.errors import InvalidBlock
from flows.redaction import SHORTEST_SECRET
from flows.text_safety import is_encodable

MCP_SERVERS: Final = "mcp_servers"
_MAX_SERVERS: Final = 20
_MAX_BYTES: Final = 100_000
_NAME: Final = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*", re.IGNORECASE | re.ASCII)
_MAX_NAME: Final = 40
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OBSCURED: Final = "*" * 8
"""What Prefect's UI shows in place of a secret value."""

_STDIO, _HTTP, _SSE = "stdio", "http", "sse"
_WRAPPER: Final = "mcpServers"
"""The key that has the servers as its value in Claude Code's files."""
_KEYS: Final = {
    _STDIO: ("type", "command", "args", "env"),
    _HTTP: ("type", "url", "headers"),
    _SSE: ("type", "url", "headers"),
}
"""The keys of a server, by its type."""

_PUBLIC_HEADERS: Final = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Headers whose values are no secrets, in small letters."""


def checked_servers(values: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Return the servers by their names; raise `InvalidBlock` for the first that is unusable.

    The message quotes no value.
    """
    if len(values) > _MAX_SERVERS:
        raise InvalidBlock(f"{MCP_SERVERS} has {len(values)} servers: name at most {_MAX_SERVERS}")
    servers = {name: _checked_server(name, value) for name, value in values.items()}
    if len(json.dumps(servers)) > _MAX_BYTES:
        raise InvalidBlock(f"{MCP_SERVERS} has more than {_MAX_BYTES:,} bytes: name fewer servers")
    return servers


def secrets_of(servers: Mapping[str, Mapping[str, Any]]) -> dict[str, SecretStr]:
    """Return the values to redact, by what they are called: those of `env`, of `headers`, and of a URL's query.

    A value of fewer than eight characters, such as `true`, is a setting. It could be an ordinary word.
    """
    secrets = {}
    for name, server in servers.items():
        for variable, value in server.get("env", {}).items():
            secrets[f"{variable} of the server {name}"] = value
        for header, value in server.get("headers", {}).items():
            if header.lower() not in _PUBLIC_HEADERS:
                secrets[f"{header} of the server {name}"] = value
                # The word before it, such as Bearer, is no part of the secret.
                secrets[f"{header} of the server {name}, without its scheme"] = value.partition(" ")[2]
        for key, value in parse_qsl(urlsplit(server.get("url", "")).query):
            secrets[f"{key} in the address of the server {name}"] = value
    return {name: SecretStr(value) for name, value in secrets.items() if len(value.strip()) >= SHORTEST_SECRET}


def mcp_config(servers: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the content of the file for Claude Code's option `--mcp-config`."""
    return json.dumps({_WRAPPER: servers}, indent=1).encode()


def _checked_server(name: str, value: object) -> dict[str, Any]:
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise InvalidBlock(
            f"{MCP_SERVERS}: {name[:100]!r} is not the name of a server: use at most {_MAX_NAME} letters and digits, "
            "with single hyphens or underscores between them"
        )
    place = f"{MCP_SERVERS}: the server {name}"
    if not isinstance(value, dict):
        raise InvalidBlock(
            f'{place} is not an object such as {{"command": "npx", "args": ["-y", "…"]}}: store it again'
        )
    if not {"type", "command", "url"} & value.keys():
        advice = f"store the servers themselves, without {name} around them" if name == _WRAPPER else "store it again"
        raise InvalidBlock(f"{place} has neither command nor url: {advice}")
    kind = value.get("type", _STDIO if "command" in value else _HTTP)
    if not isinstance(kind, str) or kind not in _KEYS:
        raise InvalidBlock(f"{place} has another type than stdio, http and sse: choose one of these")
    for key in map(str, value):
        if key not in _KEYS[kind]:
            raise InvalidBlock(
                f"{place} has the unknown key {key[:100]!r}: a server of the type {kind} may have "
                f"{', '.join(_KEYS[kind])}"
            )
    checked = {"type": kind, **value}
    for text in _texts(checked, place):
        _check_text(text, place)
    return checked


def _texts(server: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield all texts of a server; raise `InvalidBlock` if its values have other types than they should."""
    if server["type"] == _STDIO:
        yield _text(server.get("command"), f"{place} has no command: give it the name of a program")
        arguments = server.get("args", [])
        if not isinstance(arguments, list):
            raise InvalidBlock(f'{place} has args that are not a list, such as ["--port", "80"]')
        for argument in arguments:
            yield _string(argument, f"{place} has an argument that is not a text: put it in quotes")
        yield from _mapping(server, "env", _VARIABLE, place)
    else:
        yield _checked_url(server, place)
        for value in _mapping(server, "headers", _HEADER, place):
            if re.search(r"[\r\n]", value):
                raise InvalidBlock(f"{place} has a header whose value has a line break: store it again without")
            yield value


def _mapping(server: Mapping[str, Any], key: str, names: re.Pattern[str], place: str) -> Iterator[str]:
    mapping = server.get(key, {})
    if not isinstance(mapping, dict):
        raise InvalidBlock(f'{place} has {key} that are not an object such as {{"NAME": "value"}}')
    for name, value in mapping.items():
        if not names.fullmatch(name):
            raise InvalidBlock(f"{place} has {key} with a name that cannot be used: {name[:100]!r}")
        yield _string(value, f"{place}: the value of {name} is not a text: put it in quotes")


def _checked_url(server: Mapping[str, Any], place: str) -> str:
    url = _text(server.get("url"), f"{place} has no url: give it an address such as https://mcp.example.com/mcp")
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_usable = is_usable and not re.search(r"\s", url)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise InvalidBlock(f"{place} has a url that is not an http or https address: correct it")
    if "@" in parts.netloc:
        raise InvalidBlock(f"{place} has a url with a user name or password: put them into headers")
    return url


def _text(value: object, message: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidBlock(message)
    return value


def _string(value: object, message: str) -> str:
    if not isinstance(value, str):
        raise InvalidBlock(message)
    return value


def _check_text(text: str, place: str) -> None:
    if text == _OBSCURED:
        raise InvalidBlock(
            f"{place} has a value of eight asterisks, which hide a value in Prefect's UI: store it again"
        )
    if "\0" in text or not is_encodable(text):
        raise InvalidBlock(f"{place} has a value that contains a NUL byte or is not valid text: store it again")

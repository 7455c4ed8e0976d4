"""The servers of `mcp_servers`: which a block may have, and which of their values are secrets."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from flows.errors import InvalidBlock
from flows.parameters.mcp_servers import checked_servers, mcp_config, secrets_of

STDIO = {"command": "npx", "args": ["-y", "words"], "env": {"KEY": "hush-hush", "DEBUG": "1"}}
HTTP = {"type": "http", "url": "https://mcp.example.com/mcp?key=query-hush&v=2", "headers": {"X-Key": "header-hush"}}


def test_servers_are_accepted_in_claude_codes_form() -> None:
    servers: dict[str, Any] = {
        "words": STDIO,
        "tickets": HTTP,
        "old-1": {"type": "sse", "url": "http://127.0.0.1:8000/sse"},
    }
    checked = checked_servers(servers)
    assert checked == {**servers, "words": {"type": "stdio", **STDIO}}
    assert json.loads(mcp_config(checked)) == {"mcpServers": checked}
    assert checked_servers({"a": {"url": "https://a.example"}})["a"]["type"] == "http"
    assert checked_servers({}) == {}


def test_values_of_env_headers_and_queries_are_secrets_unless_they_are_short() -> None:
    headers = {"Authorization": "Bearer token-hush", "Accept": "application/json"}
    servers = checked_servers({"words": STDIO, "tickets": HTTP, "b": {"url": "https://b.example", "headers": headers}})
    secrets = {name: value.get_secret_value() for name, value in secrets_of(servers).items()}
    assert secrets == {
        "KEY of the server words": "hush-hush",
        "X-Key of the server tickets": "header-hush",
        "key in the address of the server tickets": "query-hush",
        "Authorization of the server b": "Bearer token-hush",
        "Authorization of the server b, without its scheme": "token-hush",
    }
    assert all(isinstance(value, SecretStr) for value in secrets_of(servers).values())


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("hush-hush", "the server s is not an object such as"),
        (["hush-hush"], "is not an object"),
        ({}, "the server s has neither command nor url: store it again"),
        ({"cmd": "hush-hush"}, "has neither command nor url"),
        ({"type": "http"}, "has no url"),
        ({"command": " "}, "has no command: give it the name of a program"),
        ({"command": ["hush-hush"]}, "has no command"),
        ({"type": "ws", "url": "wss://hush-hush.example"}, "another type than stdio, http and sse"),
        ({"type": ["hush-hush"], "url": "https://x.example"}, "another type than stdio, http and sse"),
        (
            {"type": "http", "command": "hush-hush"},
            "unknown key 'command': a server of the type http may have type, url, ",
        ),
        ({"command": "x", "headersHelper": "hush-hush"}, "unknown key 'headersHelper'"),
        ({"url": "https://x.example", "headersHelper": "hush-hush"}, "unknown key 'headersHelper'"),
        ({"command": "x", "args": "hush-hush"}, "args that are not a list"),
        ({"command": "x", "args": [1]}, "an argument that is not a text"),
        ({"command": "x", "args": ["hush-hush\0"]}, "NUL byte"),
        ({"command": "x", "args": ["*", "********"]}, "a value of eight asterisks"),
        ({"command": "********"}, "a value of eight asterisks"),
        ({"command": "x", "env": ["hush-hush"]}, "env that are not an object"),
        ({"command": "x", "env": {"A-B": "hush-hush"}}, "env with a name that cannot be used: 'A-B'"),
        ({"command": "x", "env": {"A": 1}}, "the value of A is not a text"),
        ({"command": "x", "env": {"A": "\ud800hush-hush"}}, "not valid text"),
        ({"command": "x", "env": {"A": "********"}}, "a value of eight asterisks"),
        ({"url": "https://x.example", "headers": {"A:": "hush-hush"}}, "headers with a name that cannot be used"),
        ({"url": "https://x.example", "headers": {"A": "hush-hush\n"}}, "a header whose value has a line break"),
        ({"url": "https://x.example/hush-hush\n"}, "not an http or https address"),
        ({"url": "ftp://hush-hush.example"}, "not an http or https address"),
        ({"url": "https://[hush-hush"}, "not an http or https address"),
        ({"url": "https://bot:hush-hush@x.example"}, "a user name or password: put them into headers"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ascii(value),
)
def test_what_cannot_be_used_is_refused_by_name_without_its_values(server: object, message: str) -> None:
    with pytest.raises(InvalidBlock, match=message) as raised:
        checked_servers({"s": server})
    assert str(raised.value).startswith("mcp_servers: the server s")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "a__b", "_a", "a b", "a/b", "ä", "a" * 41, "a\n"], ids=ascii)
def test_a_name_from_which_no_tools_name_can_be_made_is_refused(name: str) -> None:
    with pytest.raises(InvalidBlock, match="is not the name of a server"):
        checked_servers({name: STDIO})


def test_the_number_and_the_size_of_servers_are_limited() -> None:
    with pytest.raises(InvalidBlock, match="has 21 servers: name at most 20"):
        checked_servers({f"s{n}": STDIO for n in range(21)})
    with pytest.raises(InvalidBlock, match="more than 100,000 bytes"):
        checked_servers({"s": {**STDIO, "args": ["x" * 100_000]}})

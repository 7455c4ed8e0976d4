"""The request that a run keeps: everything that was asked for, and no secret."""

import json

import pytest

from flows.parameters.claude_settings import DEFAULT_SETTINGS
from flows.parameters.limits import Limits
from flows.redaction import SECRETS
from flows.run.start import _request

SECRET = "a-secret-that-the-process-knows"


@pytest.mark.parametrize("settings", [DEFAULT_SETTINGS, {"env": {"A": "b"}}, {"env": "no object"}, {}])
def test_it_holds_what_was_asked_for(settings: dict[str, object]) -> None:
    kept = json.loads(_request({"repo_url": "https://x/y", "limits": Limits(max_turns=7), "claude_settings": settings}))
    assert kept["repo_url"] == "https://x/y"
    assert kept["limits"]["max_turns"] == 7
    assert kept["claude_settings"].keys() == settings.keys()


def test_it_holds_no_secret() -> None:
    SECRETS.learn("a test's", SECRET)
    asked = {"instructions": f"with {SECRET}", "claude_settings": {"env": {"TOKEN": "unknown-to-us"}}}
    kept = _request(asked)
    assert SECRET.encode() not in kept
    assert b"unknown-to-us" not in kept
    assert json.loads(kept)["claude_settings"]["env"] == {"TOKEN": "***"}

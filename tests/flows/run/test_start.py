"""The saved request of a run: all of its parameters, and no secret."""

import json

import pytest

from flows.parameters.claude_settings import DEFAULT_SETTINGS
from flows.parameters.limits import Limits
from flows.redaction import SECRETS
from flows.run.start import _request

SECRET = "a-secret-that-the-process-knows"


@pytest.mark.parametrize("settings", [DEFAULT_SETTINGS, {"env": {"A": "b"}}, {"env": "no object"}, {}])
def test_the_request_contains_the_parameters(settings: dict[str, object]) -> None:
    saved = json.loads(
        _request({"repo_url": "https://x/y", "limits": Limits(max_turns=7), "claude_settings": settings})
    )
    assert saved["repo_url"] == "https://x/y"
    assert saved["limits"]["max_turns"] == 7
    assert saved["claude_settings"].keys() == settings.keys()


def test_the_request_contains_no_secret() -> None:
    SECRETS.learn("a test's", SECRET)
    parameters = {"instructions": f"with {SECRET}", "claude_settings": {"env": {"TOKEN": "unknown-to-us"}}}
    saved = _request(parameters)
    assert SECRET.encode() not in saved
    assert b"unknown-to-us" not in saved
    assert json.loads(saved)["claude_settings"]["env"] == {"TOKEN": "***"}

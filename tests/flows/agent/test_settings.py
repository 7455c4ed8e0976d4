"""Claude Code's settings file and permission mode, as a run's settings ask for them."""

import json
from typing import Any

import pytest

from flows.agent.settings import permission_mode, settings_file
from flows.parameters.claude_settings import DEFAULT_SETTINGS


def test_the_settings_file_leaves_commits_unattributed_unless_the_settings_say_otherwise() -> None:
    assert json.loads(settings_file(DEFAULT_SETTINGS)) == {"attribution": {"commit": "", "pr": ""}, **DEFAULT_SETTINGS}
    own = {"attribution": {"commit": "By Claude", "pr": ""}}
    assert json.loads(settings_file(own)) == own


@pytest.mark.parametrize(
    ("given_settings", "mode"),
    [
        ({}, "acceptEdits"),
        (DEFAULT_SETTINGS, "acceptEdits"),
        ({"permissions": {"defaultMode": "plan"}}, "plan"),
        ({"permissions": {"defaultMode": "bypassPermissions"}}, "bypassPermissions"),
    ],
)
def test_edits_are_accepted_unless_the_settings_ask_for_another_mode(given_settings: dict[str, Any], mode: str) -> None:
    assert permission_mode(given_settings) == mode

"""Claude Code's settings file and permission mode follow the run's settings."""

import json
from typing import Any

import pytest

from flows.agent.settings import permission_mode, settings_file
from flows.parameters.claude_settings import DEFAULT_SETTINGS


def test_commits_have_no_attribution_unless_the_settings_add_one() -> None:
    assert json.loads(settings_file(DEFAULT_SETTINGS)) == {"attribution": {"commit": "", "pr": ""}, **DEFAULT_SETTINGS}
    custom = {"attribution": {"commit": "By Claude", "pr": ""}}
    assert json.loads(settings_file(custom)) == custom


@pytest.mark.parametrize(
    ("claude_settings", "mode"),
    [
        ({}, "acceptEdits"),
        (DEFAULT_SETTINGS, "acceptEdits"),
        ({"permissions": {"defaultMode": "plan"}}, "plan"),
        ({"permissions": {"defaultMode": "bypassPermissions"}}, "bypassPermissions"),
    ],
)
def test_edits_are_accepted_unless_the_settings_choose_another_mode(claude_settings: dict[str, Any], mode: str) -> None:
    assert permission_mode(claude_settings) == mode

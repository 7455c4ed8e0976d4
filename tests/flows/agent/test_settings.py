"""Claude Code's settings file and permission mode follow the run's settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.agent.settings import permission_mode, settings_file
from flows.parameters.claude_settings import DEFAULT_SETTINGS

SKILLS = Path("/run/home/.claude/skills")
READABLE = "Read(//run/home/.claude/skills/**)"


def test_commits_have_no_attribution_and_skills_run_nothing_unless_the_settings_say_so() -> None:
    own = {"attribution": {"commit": "", "pr": ""}, "disableSkillShellExecution": True}
    permissions = {"allow": ["Bash(*)", READABLE]}
    assert json.loads(settings_file(DEFAULT_SETTINGS, SKILLS)) == {**own, "permissions": permissions}
    custom = {"attribution": {"commit": "By Claude", "pr": ""}, "disableSkillShellExecution": False}
    assert json.loads(settings_file(custom, SKILLS)) == {**custom, "permissions": {"allow": [READABLE]}}


def test_other_permissions_stay_as_they_are() -> None:
    settings = {"permissions": {"deny": ["Read(//run/**)"], "defaultMode": "plan"}}
    permissions = json.loads(settings_file(settings, SKILLS))["permissions"]
    assert permissions == {"deny": ["Read(//run/**)"], "defaultMode": "plan", "allow": [READABLE]}
    assert settings == {"permissions": {"deny": ["Read(//run/**)"], "defaultMode": "plan"}}


@pytest.mark.parametrize(
    ("claude_settings", "isolated", "mode"),
    [
        ({}, True, "acceptEdits"),
        (DEFAULT_SETTINGS, True, "bypassPermissions"),
        (DEFAULT_SETTINGS, False, "acceptEdits"),
        ({"permissions": {"allow": ["Bash(npm test)", "Bash"]}}, True, "bypassPermissions"),
        ({"permissions": {"allow": ["Bash(npm test)"]}}, True, "acceptEdits"),
        ({"permissions": {"allow": ["Bash(*)"], "defaultMode": "acceptEdits"}}, True, "acceptEdits"),
        ({"permissions": {"defaultMode": "plan"}}, True, "plan"),
        ({"permissions": {"defaultMode": "bypassPermissions"}}, False, "bypassPermissions"),
    ],
)
def test_an_isolated_agent_with_every_command_may_write_everything_unless_the_settings_choose_another_mode(
    claude_settings: dict[str, Any], isolated: bool, mode: str
) -> None:
    assert permission_mode(claude_settings, is_isolated=isolated) == mode

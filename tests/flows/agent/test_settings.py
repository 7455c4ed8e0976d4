"""Claude Code's settings file and permission mode follow the run's settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.agent.settings import permission_mode, settings_file
from flows.parameters.claude_settings import DEFAULT_SETTINGS

DEFAULTS = {
    "attribution": {"commit": "", "pr": ""},
    "autoMemoryEnabled": False,
    "includeGitInstructions": False,
    "enabledPlugins": {"plugin-authoring@builtin": False},
    "disableSkillShellExecution": True,
}
SKILLS = Path("/run/home/.claude/skills")
READABLE = "Read(//run/home/.claude/skills/**)"


def test_what_an_unattended_run_has_no_use_for_is_off_unless_the_settings_turn_it_on() -> None:
    permissions = {"allow": ["Bash(*)", READABLE]}
    assert json.loads(settings_file(DEFAULT_SETTINGS, SKILLS)) == {**DEFAULTS, "permissions": permissions}
    custom = {"attribution": {"commit": "By Claude", "pr": ""}, "includeGitInstructions": True}
    assert json.loads(settings_file(custom, SKILLS)) == {**DEFAULTS, **custom, "permissions": {"allow": [READABLE]}}


def test_other_permissions_stay_as_they_are() -> None:
    settings = {"permissions": {"deny": ["Read(//run/**)"], "defaultMode": "plan"}}
    permissions = json.loads(settings_file(settings, SKILLS))["permissions"]
    assert permissions == {"deny": ["Read(//run/**)"], "defaultMode": "plan", "allow": [READABLE]}
    assert settings == {"permissions": {"deny": ["Read(//run/**)"], "defaultMode": "plan"}}


def test_the_tools_of_mcp_servers_are_permitted_unless_the_settings_deny_them() -> None:
    settings = {"permissions": {"deny": ["mcp__words__delete"]}}
    permissions = json.loads(settings_file(settings, SKILLS, ("words", "tickets")))["permissions"]
    assert permissions == {"allow": [READABLE, "mcp__words__*", "mcp__tickets__*"], "deny": ["mcp__words__delete"]}


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

"""`claude_settings`: which settings a run may use, which need the operator's permission, and which error is raised."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.agent.settings import permission_mode, settings_file
from flows.errors import InvalidSettings
from flows.parameters.claude_settings import (
    ALLOWED_KEYS_VARIABLE,
    DEFAULT_SETTINGS,
    check_settings,
    parse_settings,
)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PERMISSION_KEYS = st.sampled_from(["allow", "deny", "ask", "additionalDirectories", "defaultMode", "", "other"])
RULES = st.lists(st.sampled_from(["Bash(*)", "Read", ""]), max_size=3)
PERMISSIONS = st.dictionaries(PERMISSION_KEYS, RULES | st.just("plan") | JSON_VALUES, max_size=4)
SETTINGS = st.dictionaries(
    st.sampled_from(["permissions", "language", "hooks", "$schema", ""]) | st.text(max_size=8),
    PERMISSIONS | JSON_VALUES,
)
DANGEROUS = {
    "hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": "id"}]}]},
    "env": {"ANTHROPIC_BASE_URL": "https://example.com"},
    "apiKeyHelper": "/bin/id",
    "awsAuthRefresh": "id",
    "awsCredentialExport": "id",
    "statusLine": {"type": "command", "command": "id"},
    "otelHeadersHelper": "id",
    "fileSuggestion": {"type": "command", "command": "id"},
    "enableAllProjectMcpServers": True,
    "mcpServers": {},
    "sandbox": {"enabled": False},
    "model": "another",
    "forceLoginMethod": "console",
    "enabledPlugins": {"a@b": True},
}


@pytest.mark.parametrize(
    "good",
    [
        {},
        DEFAULT_SETTINGS,
        {"permissions": {}},
        {
            "permissions": {
                "allow": [],
                "deny": ["WebFetch"],
                "ask": ["Bash(git push *)"],
                "additionalDirectories": ["/x"],
            }
        },
        {"permissions": {"defaultMode": "bypassPermissions"}, "language": "de", "$schema": "https://example.com"},
    ],
)
def test_settings_that_affect_only_how_the_agent_works_are_returned_unchanged(good: dict[str, Any]) -> None:
    before = json.dumps(good)
    assert json.dumps(check_settings(good)) == before


@pytest.mark.parametrize("key", [*sorted(DANGEROUS), "Permissions", " permissions", ""])
def test_any_other_setting_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        check_settings({**DEFAULT_SETTINGS, key: DANGEROUS.get(key, {})})
    assert repr(key) in str(caught.value)


@pytest.mark.parametrize("key", sorted(DANGEROUS))
def test_the_operator_can_allow_one_setting_without_allowing_others(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_KEYS_VARIABLE, key)
    assert check_settings({key: DANGEROUS[key]}) == {key: DANGEROUS[key]}
    for other in DANGEROUS.keys() - {key}:
        with pytest.raises(InvalidSettings, match=other):
            check_settings({other: DANGEROUS[other]})


def test_the_operator_can_allow_several_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_KEYS_VARIABLE, "hooks,env")
    check_settings({"hooks": {}, "env": {}, "language": "de"})
    with pytest.raises(InvalidSettings, match="apiKeyHelper"):
        check_settings({"hooks": {}, "apiKeyHelper": "x"})


def test_the_operators_variable_does_not_turn_off_the_check_of_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_KEYS_VARIABLE, "permissions,disableBypassPermissionsMode")
    with pytest.raises(InvalidSettings, match="disableBypassPermissionsMode"):
        check_settings({"permissions": {"disableBypassPermissionsMode": "disable"}})


@pytest.mark.parametrize(
    ("permissions", "message"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ("Bash(*)", "not an object"),
        ({"allow": "Bash(*)"}, "permissions.allow"),
        ({"allow": {"Bash": True}}, "permissions.allow"),
        ({"allow": [1]}, "permissions.allow"),
        ({"deny": [""]}, "permissions.deny"),
        ({"ask": None}, "permissions.ask"),
        ({"additionalDirectories": "/"}, "permissions.additionalDirectories"),
        ({"defaultMode": "yolo"}, "defaultMode"),
        ({"defaultMode": None}, "defaultMode"),
        ({"defaultMode": ["plan"]}, "defaultMode"),
        ({"disableBypassPermissionsMode": "disable"}, "disableBypassPermissionsMode"),
        ({"Allow": []}, "permissions.Allow"),
        ({"deny": ["Write(secret/**)"]}, r"denies nothing in Claude Code: write \"Edit\(secret/\*\*\)\""),
        ({"deny": ["Bash(rm:*)", "Write(./.env)"]}, r"Edit\(\./\.env\)"),
        ({"deny": ["MultiEdit(src/a.py)"]}, r"Edit\(src/a\.py\)"),
    ],
)
def test_wrong_permissions_are_refused_by_name(permissions: object, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        check_settings({"permissions": permissions})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        (" ", "not JSON"),
        ('{"permissions": {"allow": ["Bash(*)"]', "not JSON"),
        ("{'permissions': {}}", "not JSON"),
        ('{"a": 1,}', "not JSON"),
        ("// comment\n{}", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("1" * 5000, "not JSON"),
        ('{"cleanupPeriodDays": NaN}', "not JSON"),
        ('{"cleanupPeriodDays": -Infinity}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('"{}"', "not a JSON object"),
        ("1", "not a JSON object"),
    ],
    ids=lambda value: value[:20],
)
def test_text_that_is_not_a_json_object_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        parse_settings(text)


def test_a_json_object_is_read_as_it_is() -> None:
    assert parse_settings(' {"permissions": {"allow": ["Bash(*)"]}, "language": "é"}\n') == {
        "permissions": {"allow": ["Bash(*)"]},
        "language": "é",
    }


@given(st.text(max_size=40) | JSON_VALUES.map(json.dumps) | SETTINGS.map(json.dumps))
@example("{")
def test_any_text_is_parsed_or_raises_the_named_error(text: str) -> None:
    try:
        parsed = parse_settings(text)
    except InvalidSettings:
        return
    assert json.dumps(parsed) == json.dumps(json.loads(text))


@given(SETTINGS)
@example({"permissions": {"defaultMode": {}}})
@example({"permissions": {"allow": [[]]}})
def test_any_json_object_is_usable_or_raises_the_named_error(candidate: dict[str, Any]) -> None:
    try:
        checked = check_settings(candidate)
    except InvalidSettings:
        return
    assert permission_mode(checked, is_isolated=True) in {
        "default",
        "acceptEdits",
        "plan",
        "bypassPermissions",
        "dontAsk",
    }
    own = json.loads(settings_file({}, Path("/skills")))
    assert json.loads(settings_file(checked, Path("/skills"))).keys() == {*own, *checked}

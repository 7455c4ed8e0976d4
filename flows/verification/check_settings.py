"""Compares the parts of settings files that decide what a check does, such as the scripts of package.json."""

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

_PACKAGE_KEYS: Final = (
    "jest", "vitest", "mocha", "ava", "tap", "nyc", "c8", "eslintConfig", "eslintIgnore", "stylelint", "prettier",
    "lint-staged", "husky", "pre-commit", "wireit", "nx", "cypress", "jasmine", "karma", "standard", "xo", "tsd",
)  # fmt: skip
_TOML_TABLES: Final = (
    ("tool", "pytest"), ("tool", "tox"), ("tool", "nox"), ("tool", "coverage"), ("tool", "ruff"), ("tool", "mypy"),
    ("tool", "pyright"), ("tool", "pylint"), ("tool", "flake8"), ("tool", "black"), ("tool", "isort"),
    ("tool", "bandit"), ("tool", "importlinter"), ("tool", "hatch", "envs"), ("tool", "pdm", "scripts"),
    ("tool", "poe"), ("tool", "taskipy"), ("tool", "pixi", "tasks"), ("tool", "rye", "scripts"), ("tool", "nbqa"),
    ("lints",), ("workspace", "lints"), ("test",), ("profile", "test"), ("package", "autotests"), ("lib", "test"),
    ("lib", "doctest"), ("lib", "harness"), ("scripts",),
)  # fmt: skip
_INI_SECTIONS: Final = re.compile(
    r"(?:tool:)?pytest|tox\b|testenv|flake8|pycodestyle|pylint|mypy|coverage|isort|aliases|test"
)
_TEST_LINE: Final = re.compile(
    r"test|check|skip|surefire|failsafe|verif|lint|coverage|jacoco|exclude|ignore|script-?shell|node-?options",
    re.IGNORECASE,
)


def changed_settings(path: str, old: str, new: str) -> list[str] | None:
    """Return which settings of a file decide what a check does and have changed, for people.

    None means that the name of the file is not that of such a file.
    """
    name = PurePosixPath(path).name.lower()
    compare = _FILES.get(name)
    if compare is None and name.startswith(("build.gradle", "settings.gradle")):
        compare = _lines
    if compare is None:
        return None
    try:
        return compare(old, new)
    except (ValueError, configparser.Error, RecursionError):
        return ["changed"]


def scripts_of(text: str) -> Mapping[str, str]:
    """Return the scripts in the text of a package.json, by name; none if it cannot be read."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    scripts = value.get("scripts") if isinstance(value, dict) else None
    return (
        {name: script for name, script in scripts.items() if isinstance(script, str)}
        if isinstance(scripts, dict)
        else {}
    )


def _package(old: str, new: str) -> list[str]:
    before, after = (_mapping(json.loads(text)) if text else {} for text in (old, new))
    scripts, new_scripts = _mapping(before.get("scripts")), _mapping(after.get("scripts"))
    # npm runs pretest and posttest with test.
    changed = [
        name
        for name in sorted(scripts.keys() | new_scripts.keys())
        if scripts.get(name) != new_scripts.get(name)
        and (name in scripts or name.removeprefix("pre") in scripts or name.removeprefix("post") in scripts)
    ]
    keys = [key for key in _PACKAGE_KEYS if before.get(key) != after.get(key)]
    return [*(f"scripts.{name} {_how(name, scripts, new_scripts)}" for name in changed),
            *(f"{key} {_how(key, before, after)}" for key in keys)]  # fmt: skip


def _toml(old: str, new: str) -> list[str]:
    before, after = tomllib.loads(old), tomllib.loads(new)
    lines = []
    for keys in _TOML_TABLES:
        table, new_table = _at(before, keys), _at(after, keys)
        if table == new_table:
            continue
        name = ".".join(keys)
        # pytest's own table is [tool.pytest.ini_options], which people know better than its parent.
        inner = sorted(_mapping(table).keys() | _mapping(new_table).keys()) if keys == ("tool", "pytest") else []
        changed = [key for key in inner if _mapping(table).get(key) != _mapping(new_table).get(key)]
        lines += [f"[{name}.{key}] changed" for key in changed] or [f"[{name}] changed"]
    return lines


def _ini(old: str, new: str) -> list[str]:
    before, after = _sections(old), _sections(new)
    names = sorted(before.keys() | after.keys())
    return [f"[{name}] changed" for name in names if before.get(name) != after.get(name) and _INI_SECTIONS.match(name)]


def _sections(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _json_key(*keys: str) -> Callable[[str, str], list[str]]:
    def compare(old: str, new: str) -> list[str]:
        before, after = (_mapping(json.loads(text)) if text else {} for text in (old, new))
        return [f"{key} {_how(key, before, after)}" for key in keys if before.get(key) != after.get(key)]

    return compare


def _lines(old: str, new: str) -> list[str]:
    """Compare the lines that have a word of tests and checks."""
    before, after = (
        sorted(line.strip() for line in text.splitlines() if _TEST_LINE.search(line)) for text in (old, new)
    )
    return ["lines about tests or checks changed"] if before != after else []


def _how(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if key not in new:
        return "removed"
    return "changed" if key in old else "added"


def _mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 (parsed JSON or TOML)
    return value if isinstance(value, dict) else {}


def _at(value: Any, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 (parsed TOML)
    for key in keys:
        value = _mapping(value).get(key)
    return value


_FILES: Final[Mapping[str, Callable[[str, str], list[str]]]] = {
    "package.json": _package,
    "pyproject.toml": _toml,
    "cargo.toml": _toml,
    "setup.cfg": _ini,
    "pipfile": _toml,
    "composer.json": _json_key("scripts"),
    "deno.json": _json_key("tasks", "test", "lint"),
    "pom.xml": _lines,
    "build.sbt": _lines,
    "mix.exs": _lines,
    "setup.py": _lines,
    "cmakelists.txt": _lines,
    "meson.build": _lines,
    "gradle.properties": _lines,
    "pnpm-workspace.yaml": _lines,
    ".npmrc": _lines,
}
"""By the name of a file: the function that compares its old and its new text."""

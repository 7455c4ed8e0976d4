"""Finds what a change does to the checks themselves: an agent can make a check pass by changing the check.

Everything is read from git's objects. What counts is listed here: files that a verify command names, or that define
what a test program does; scripts and sections of settings files; files of CI; tests that are removed or skipped. A new
test file, or a test that is added, is no change of the checks. What a test expects is not compared.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

from flows.repository import ci_files
from flows.repository.commit_files import CommitFiles
from flows.repository.objects import ABSENT, ChangedFile, changed_files, contents, sizes
from flows.text_safety import one_line, sanitize
from flows.verification.check_settings import changed_settings, scripts_of
from flows.verification.languages import is_code, is_test_file, skips_in, tests_in
from flows.verification.named_files import named_files

_DEFINING: Final = (
    "makefile", "gnumakefile", "*.mk", "justfile", ".justfile", "taskfile.y*ml", "rakefile", "tox.ini", "noxfile.py",
    "pytest.ini", ".pytest.ini", "pytest.toml", "conftest.py", ".coveragerc", "runtests*", "run_tests*", "run-tests*",
    "jest.config.*", "jest.setup.*", "vitest.config.*", "vitest.workspace.*", "vitest.setup.*", "karma.conf.*",
    ".mocharc*", "ava.config.*", ".nycrc*", "cypress.config.*", "playwright.config.*", "wdio.conf.*", ".taprc",
    "turbo.json", "nx.json", ".eslintrc*", ".eslintignore", "eslint.config.*", "biome.json*", "tslint.json",
    "tsconfig*.json", ".prettierrc*", ".prettierignore", "prettier.config.*", ".stylelintrc*", ".oxlintrc.json",
    "ruff.toml", ".ruff.toml", ".flake8", "mypy.ini", ".mypy.ini", "pyrightconfig.json", ".pylintrc", "pylintrc",
    ".importlinter", ".bandit", ".pre-commit-config.yaml", "lefthook.y*ml", ".golangci.*", "clippy.toml",
    ".clippy.toml", "deny.toml", "nextest.toml", "checkstyle*.xml", "spotbugs*.xml", "pmd*.xml", "detekt*.yml",
    "junit-platform.properties", "testng.xml", "phpunit.xml*", "phpstan.neon*", "psalm.xml*", ".php-cs-fixer*",
    ".rspec", ".rubocop*.yml", "*.runsettings", "ctesttestfile.cmake", "dune-project", ".swiftlint.yml",
    "analysis_options.yaml", "codecov.y*ml", ".codecov.y*ml", "sonar-project.properties",
)  # fmt: skip
"""Names of files, in small letters, that decide what a check does, and have little else in them."""

_CI: Final = tuple(pattern for pattern in ci_files.PATTERNS if pattern != "codeowners")
_MAX_BYTES: Final = 2**19
_MAX_LINES: Final = 200
_RUNNERS: Final = ("npm", "yarn", "pnpm", "bun")


@dataclass(frozen=True)
class _TestChange:
    """What a change does to the tests of one file."""

    path: str
    removed: Counter[str]
    added: Counter[str]
    """Tests that may have been moved to this file: none if it skips tests."""
    new_skips: int


def changed_checks(git_dir: Path, base: str, commit: str, commands: Sequence[str]) -> tuple[str, ...]:
    """Return what the change between two commits touches of the checks: one line for each thing, for people.

    Args:
        git_dir: The trusted repository, which has both commits.
        base: The commit before the change.
        commit: The commit with the change.
        commands: The verify commands. The files that they name belong to the checks.
    """
    files = changed_files(git_dir, base, commit)
    if not files:
        return ()
    text_of = _texts(git_dir, files)
    named = named_files(
        [*commands, *_scripts(git_dir, base, commands)], {p for f in files for p in (f.path, f.old_path)}
    )
    lines = list[str]()
    test_changes = list[_TestChange]()
    for file in files:
        own = _definition(file, text_of, named)
        if own is None and is_test_file(file.old_path):
            own = _removed(file)
            if set(file.blobs) <= text_of.keys():
                test_changes.append(_test_change(file, text_of))
            elif is_code(file.path):
                own = own or [f"{file.path}: changed, and too large to compare"]
        lines += own or ()
    lines += _removed_tests(test_changes)
    # A path is the agent's text.
    clean = sorted({one_line(sanitize(line.encode("utf-8", "replace").decode())) for line in lines})
    more = [f"and {len(clean) - _MAX_LINES} more"] if len(clean) > _MAX_LINES else []
    return (*clean[:_MAX_LINES], *more)


def _definition(file: ChangedFile, text_of: Mapping[str, str], named: set[str]) -> list[str] | None:
    """Return the lines for a file that defines checks; None for another file."""
    old_text, text = (text_of.get(blob, "") for blob in (file.old_blob, file.blob))
    paths = {file.old_path, file.path}
    settings = changed_settings(file.old_path, old_text, text)
    if settings is not None and not set(file.blobs) <= text_of.keys():
        settings = ["changed, and too large to compare"]
    if settings is not None:
        return [f"{file.old_path}: removed"] if file.is_deleted else [f"{file.path}: {line}" for line in settings]
    # The tests in a file that a command names are looked at one by one.
    is_named = bool(paths & named) and not is_test_file(file.path)
    names = {PurePosixPath(path).name.lower() for path in paths}
    defines = any(fnmatchcase(name, pattern) for name in names for pattern in _DEFINING)
    runs_in_ci = any(fnmatchcase(f"/{path.lower()}", f"*/{pattern}") for path in paths for pattern in _CI)
    return [_line(file)] if is_named or defines or runs_in_ci else None


def _line(file: ChangedFile) -> str:
    if file.is_deleted:
        return f"{file.old_path}: removed"
    if file.old_mode == ABSENT:
        return f"{file.path}: added"
    return f"{file.old_path}: moved to {file.path}" if file.path != file.old_path else file.path


def _removed(file: ChangedFile) -> list[str]:
    """Return the line for a test file that is no longer there, or no longer looks like one."""
    if file.is_deleted:
        return [f"{file.old_path}: removed"]
    return [] if is_test_file(file.path) else [f"{file.old_path}: moved to {file.path}"]


def _test_change(file: ChangedFile, text_of: Mapping[str, str]) -> _TestChange:
    old, new = text_of.get(file.old_blob, ""), text_of.get(file.blob, "")
    before, after = tests_in(file.old_path, old), tests_in(file.path, new)
    new_skips = max(0, skips_in(file.path, new) - skips_in(file.old_path, old))
    if file.is_deleted or file.old_mode == ABSENT:
        # A new test file is no change of the checks, and of one that is gone, the whole file is named.
        return _TestChange(file.path, Counter(), Counter() if new_skips else after, 0)
    return _TestChange(file.path, before - after, Counter() if new_skips else after - before, new_skips)


def _removed_tests(changes: Sequence[_TestChange]) -> list[str]:
    """Return a line for each file with skipped or removed tests. A test that moved to another file is not removed."""
    elsewhere = sum((change.added for change in changes), Counter[str]())
    lines = []
    for change in changes:
        moved = change.removed & (elsewhere - change.added)
        elsewhere -= moved
        count = (change.removed - moved).total() + change.new_skips
        if count:
            lines.append(f"{change.path}: {count} {'test' if count == 1 else 'tests'} skipped or removed")
    return lines


def _scripts(git_dir: Path, base: str, commands: Sequence[str]) -> list[str]:
    """Return the scripts of the base's package.json that the commands run: those files they name count as well."""
    words = {word for command in commands for word in command.split()}
    if not words & set(_RUNNERS):
        return []
    files = CommitFiles.of(git_dir, base)
    package = files.find("package.json")
    if package is None or not package.is_regular:
        return []
    scripts = scripts_of(files.contents([package])[package.blob].decode("utf-8", "replace"))
    return [script for name, script in scripts.items() if name in words or (name == "test" and "t" in words)]


def _texts(git_dir: Path, files: Sequence[ChangedFile]) -> dict[str, str]:
    """Return, by its id, the text of each old and new blob that is not too large to be a test or a setting."""
    blobs = {blob for file in files for blob in file.blobs}
    small = [blob for blob, size in sizes(git_dir, blobs).items() if size <= _MAX_BYTES]
    interesting = {
        blob
        for file in files
        if is_test_file(file.path) or is_test_file(file.old_path) or changed_settings(file.old_path, "", "") is not None
        for blob in file.blobs
    }
    wanted = [blob for blob in small if blob in interesting]
    return {blob: content.decode("utf-8", "replace") for blob, content in contents(git_dir, wanted).items()}

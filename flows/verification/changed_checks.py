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
from flows.repository.objects import ABSENT, EXECUTABLE, ChangedFile, changed_files, contents, sizes
from flows.repository.repository_file import NAME
from flows.text_safety import one_line, sanitize
from flows.verification.check_settings import changed_settings
from flows.verification.languages import has_inline_tests, is_code, is_test_file, skips_in, stops_in, tests_in
from flows.verification.named_files import named_files, without_absences
from flows.verification.scripts import is_script, package_scripts, script_texts

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
    "analysis_options.yaml", "codecov.y*ml", ".codecov.y*ml", "sonar-project.properties", NAME, "bunfig.toml",
    ".yarnrc*", ".pnpmfile.*", "deno.jsonc", "sitecustomize.py", "usercustomize.py", "*.pth",
)  # fmt: skip
"""Names of files, in small letters, that decide what a check does, and have little else in them."""

_PATHS: Final = (
    *(pattern for pattern in ci_files.PATTERNS if pattern != "codeowners"),
    ".cargo/config*", ".mvn/*", ".husky/*",
)  # fmt: skip
"""Patterns of paths, in small letters, of files that decide what a check does."""

_MAX_BYTES: Final = 2**19
_MAX_ALL_BYTES: Final = 2**26
_MAX_LINES: Final = 200


@dataclass(frozen=True)
class _TestChange:
    """What a change does to the tests of one file."""

    path: str
    removed: Counter[str]
    added: Counter[str]
    """Tests that may have been moved to this file: none if it skips tests."""
    new_skips: int
    stops_others: bool = False
    """Whether the file can newly end or skip the tests of other files."""


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
    named = _named(git_dir, base, commands, files)
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
        elif own is None and has_inline_tests(file.old_path) and set(file.blobs) <= text_of.keys():
            test_changes.append(_test_change(file, text_of, is_named=False))
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
    is_named = bool(paths & named) and not (is_test_file(file.path) and is_code(file.path))
    names = {PurePosixPath(path).name.lower() for path in paths}
    defines = any(fnmatchcase(name, pattern) for name in names for pattern in _DEFINING)
    defines |= any(fnmatchcase(f"/{path.lower()}", f"*/{pattern}") for path in paths for pattern in _PATHS)
    return [_line(file)] if is_named or defines else None


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


def _test_change(file: ChangedFile, text_of: Mapping[str, str], *, is_named: bool = True) -> _TestChange:
    """Return what a change does to the tests of one file. `is_named` says that a deleted file has a line of its own."""
    old, new = text_of.get(file.old_blob, ""), text_of.get(file.blob, "")
    before, after = tests_in(file.old_path, old), tests_in(file.path, new)
    new_skips = max(0, skips_in(file.path, new) - skips_in(file.old_path, old))
    stops_others = is_test_file(file.path) and stops_in(file.path, new) > stops_in(file.old_path, old)
    added = Counter[str]() if new_skips or stops_others else after - before
    if file.is_deleted and is_named:
        return _TestChange(file.path, Counter(), Counter(), 0)
    # A new test file changes no check, unless it stops tests of other files.
    is_new = file.old_mode == ABSENT
    return _TestChange(file.path, before - after, added, 0 if is_new else new_skips, stops_others)


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
        elif change.stops_others:
            lines.append(f"{change.path}: can end or skip other tests")
    return lines


def _named(git_dir: Path, base: str, commands: Sequence[str], files: Sequence[ChangedFile]) -> set[str]:
    """Return the changed paths that the commands name, and the changed scripts that the base's scripts name."""
    at_base = CommitFiles.of(git_dir, base)
    paths = {path for file in files for path in (file.path, file.old_path)}
    modes = [(path, mode) for file in files for path, mode in ((file.path, file.mode), (file.old_path, file.old_mode))]
    scripts = {path for path, mode in modes if is_script(path, is_executable=mode == EXECUTABLE)}
    added = {file.path for file in files if file.old_mode == ABSENT}
    texts = [*commands, *package_scripts(at_base, commands)]
    named = named_files(texts, paths - added) | named_files(map(without_absences, texts), added)
    return named | (named_files(script_texts(at_base, commands), scripts) if scripts else set())


def _texts(git_dir: Path, files: Sequence[ChangedFile]) -> dict[str, str]:
    """Return, by its id, the text of each old and new blob that is not too large to be a test or a setting.

    Of very many files, those are left out that do not fit into memory.
    """
    interesting = {
        blob
        for file in files
        if any(is_test_file(path) or has_inline_tests(path) for path in (file.path, file.old_path))
        or changed_settings(file.old_path, "", "") is not None
        for blob in file.blobs
    }
    wanted, size_of_all = list[str](), 0
    for blob, size in sizes(git_dir, interesting).items():
        if size <= _MAX_BYTES and size_of_all + size <= _MAX_ALL_BYTES:
            size_of_all += size
            wanted.append(blob)
    return {blob: content.decode("utf-8", "replace") for blob, content in contents(git_dir, wanted).items()}

"""Reads the repository's own settings for runs, from the file `.claude-code-headless.yaml` of its default branch.

The file names commands that run before the agent starts, beside it, or on its change. So it never comes from the branch
that a run continues, which an earlier run or a stranger may have written. It is read from git's objects.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from flows.errors import InvalidRepositoryFile
from flows.parameters.verification import MAX_BYTES
from flows.repository.cache_paths import cache_paths, tracked_path
from flows.repository.commit_files import CommitFile, CommitFiles
from flows.repository.git_commands import run_git
from flows.repository.safe_yaml import load
from flows.repository.service_settings import SERVICES, parse_services
from flows.repository.verify_settings import JUNIT, VERIFY, check_lines, parse_junit, parse_verify
from flows.sandbox.services import Service
from flows.text_safety import is_encodable

NAME: Final = ".claude-code-headless.yaml"
_MISSPELT: Final = ".claude-code-headless.yml"
_SETUP: Final = "setup"
_CACHE: Final = "cache"
_KEYS: Final = (_SETUP, _CACHE, SERVICES, VERIFY, JUNIT)
_NAME_IN_ERRORS: Final = "<unicode string>"
"""PyYAML's name, in its errors, for a document that is not a file."""
_QUOTING: Final = (
    "A command that contains a colon and a space must be on a line of its own, below a line that ends with |"
)


@dataclass(frozen=True)
class RepositoryFile:
    """The settings in the file. They are empty if the default branch has no such file."""

    setup: str = ""
    """The shell commands that prepare the work tree."""
    cache: tuple[str, ...] = ()
    """The paths, relative to the work tree or below `~/`, of files that the setup makes and a later run can use."""
    services: tuple[Service, ...] = ()
    """The services that run beside the agent, in the order in which they start."""
    verify: str = ""
    """The commands that check a change, one on each line."""
    junit: tuple[str, ...] = ()
    """Patterns of the paths, below the work tree, of the JUnit files that these commands write."""
    source: str = ""
    """The name of the file, its branch and its commit, for people; empty without a file."""


def read_repository_file(git_dir: Path, default_branch: str) -> RepositoryFile:
    """Return the settings in the file of the default branch, which was fetched into `git_dir`.

    Args:
        git_dir: The trusted repository.
        default_branch: The name of the default branch; empty if the remote does not say which branch that is.

    Raises:
        InvalidRepositoryFile: The file has an unknown key or an unusable value, or cannot be read.
    """
    if not default_branch:
        return RepositoryFile()
    commit = run_git(["rev-parse", f"refs/remotes/origin/{default_branch}^{{commit}}"], git_dir=git_dir).text
    listing = run_git(["ls-tree", "-z", "--full-tree", commit, "--", NAME, _MISSPELT], git_dir=git_dir).stdout
    files = CommitFiles(git_dir, listing)
    if files.find(_MISSPELT):
        raise InvalidRepositoryFile(f"the branch {default_branch} has the file {_MISSPELT}: name it {NAME}")
    file = files.find(NAME)
    if file is None:
        return RepositoryFile()
    source = f"{NAME} on {default_branch} at {commit[:12]}"
    text = _content(files, file, source)
    values = _mapping(text, source)
    check_lines(text, source)
    cache = cache_paths(values[_CACHE], source) if values.get(_CACHE) else ()
    if cache and (path := tracked_path(CommitFiles.of(git_dir, commit), cache)):
        raise InvalidRepositoryFile(
            f"{_CACHE} in {source} has the path {path!r}, which is in the repository: name what the setup makes"
        )
    return RepositoryFile(
        setup=_setup(values, source),
        cache=cache,
        services=parse_services(values.get(SERVICES, ""), source),
        verify=parse_verify(values.get(VERIFY, ""), source),
        junit=parse_junit(values.get(JUNIT), source),
        source=source,
    )


def _content(files: CommitFiles, file: CommitFile, source: str) -> str:
    if not file.is_regular:
        raise InvalidRepositoryFile(f"{source} is not a regular file: replace the link or folder by a file")
    if files.sizes([file])[file.blob] > MAX_BYTES:
        raise InvalidRepositoryFile(f"{source} has more than {MAX_BYTES:,} bytes: move its commands into a script")
    try:
        return files.contents([file])[file.blob].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRepositoryFile(f"{source} is not UTF-8: save it as UTF-8") from None


def _mapping(text: str, source: str) -> dict[str, Any]:
    try:
        value = load(text, is_strict=True)
    except yaml.YAMLError as error:
        problem = str(error).replace(_NAME_IN_ERRORS, NAME)
        advice = f". {_QUOTING}" if "mapping values are not allowed" in problem else ""
        raise InvalidRepositoryFile(f"{source} is not valid YAML: {problem}{advice}") from None
    if value is None or value == "":
        return {}
    if not is_encodable(json.dumps(value, ensure_ascii=False)):
        raise InvalidRepositoryFile(f"{source} has an escape sequence for half of a character: correct or remove it")
    if not isinstance(value, dict):
        raise InvalidRepositoryFile(f"{source} is not a mapping: write for example setup: npm ci")
    for key in map(str, value):
        if key not in _KEYS:
            raise InvalidRepositoryFile(
                f"{source} has the unknown key {key[:100]!r}: correct or remove it; the keys are {', '.join(_KEYS)}"
            )
    return value


def _setup(values: dict[str, Any], source: str) -> str:
    setup = values.get(_SETUP, "")
    if not isinstance(setup, str) or "\0" in setup:
        raise InvalidRepositoryFile(f"{_SETUP} in {source} is not a text: for several lines, begin with {_SETUP}: |")
    return setup.strip()

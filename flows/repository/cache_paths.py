"""Checks `cache` of the repository's file: untracked paths, in the work tree or a cache folder of the home."""

import re
from pathlib import PurePosixPath
from typing import Any, Final

from flows.errors import InvalidRepositoryFile
from flows.repository.commit_files import CommitFiles
from flows.sandbox.archive import LEFT_OUT
from flows.text_safety import ASCII_CONTROLS

HOME_FOLDERS: Final = (
    ".bun", ".bundle", ".cache", ".cargo", ".composer", ".deno", ".gem", ".gradle", ".ivy2", ".local/share/mise",
    ".local/share/pnpm", ".local/share/uv", ".local/share/virtualenv", ".local/share/virtualenvs", ".m2", ".npm",
    ".nuget", ".nvm", ".pnpm-store", ".pyenv", ".rustup", ".sbt", ".yarn", "go",
)  # fmt: skip
"""The folders of the agent's home directory that may be cached, with what is below them."""

_KEY: Final = "cache"
_MAX_PATHS: Final = 50
_MAX_CHARACTERS: Final = 200
_UNUSABLE: Final = re.compile(rf"[*?\[\]\\{ASCII_CONTROLS}]|^\s|\s$")


def cache_paths(value: Any, source: str) -> tuple[str, ...]:  # noqa: ANN401 (whatever the file has)
    """Return the paths in the value of `cache`.

    Raises:
        InvalidRepositoryFile: The value is not a list of usable paths.
    """
    if not isinstance(value, list) or not all(isinstance(path, str) and path for path in value):
        raise InvalidRepositoryFile(f"{_KEY} in {source} is not a list of paths: write for example {_KEY}: [.venv]")
    if len(value) > _MAX_PATHS:
        raise InvalidRepositoryFile(f"{_KEY} in {source} has more than {_MAX_PATHS} paths: name their folders")
    return tuple(dict.fromkeys(_checked(path, source) for path in value))


def _checked(text: str, source: str) -> str:
    reason = _fault(text)
    if reason:
        raise InvalidRepositoryFile(f"{_KEY} in {source} has the path {text[:_MAX_CHARACTERS]!r}: {reason}")
    return str(PurePosixPath(text))


def _fault(text: str) -> str:
    """Return what is wrong with a path, and what to do; empty if nothing is."""
    path = PurePosixPath(text)
    if len(text) > _MAX_CHARACTERS or _UNUSABLE.search(text):
        return "name one file or folder, without wildcards, control characters and backslashes"
    if path.is_absolute() or ".." in path.parts or path.parts in {(), ("~",)}:
        return "name a path below the work tree, or below ~/ for the home directory"
    if reserved := {part.lower() for part in path.parts} & set(LEFT_OUT):
        return f"{min(reserved)} cannot be cached: remove the path"
    if path.parts[0] != "~":
        return "~name is not supported: begin with ~/" if path.parts[0].startswith("~") else ""
    below = "/".join(path.parts[1:])
    if any(below == folder or below.startswith(f"{folder}/") for folder in HOME_FOLDERS):
        return ""
    return f"of the home directory, only these folders can be cached: {', '.join(f'~/{name}' for name in HOME_FOLDERS)}"


def tracked_path(files: CommitFiles, paths: tuple[str, ...]) -> str:
    """Return the first of the paths that a commit has, or that is behind a file, link or submodule; empty if none."""
    return next((path for path in paths if not path.startswith("~/") and _is_tracked(files, path)), "")


def _is_tracked(files: CommitFiles, path: str) -> bool:
    folders = [str(folder) for folder in PurePosixPath(path).parents if folder.parts]
    return bool(files.below(path)) or any(files.find(name) for name in (path, *folders))

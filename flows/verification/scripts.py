"""Finds the texts of scripts that verify commands run: of package.json, of task runners, and of shell scripts."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from flows.repository.commit_files import CommitFile, CommitFiles
from flows.verification.check_settings import scripts_of
from flows.verification.named_files import words_in

_PACKAGE_RUNNERS: Final = frozenset({"npm", "yarn", "pnpm", "bun"})
_RUNNERS: Final = {
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "gmake": ("GNUmakefile", "makefile", "Makefile"),
    "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml", "taskfile.yml"),
    "tox": ("tox.ini",),
    "nox": ("noxfile.py",),
    "rake": ("Rakefile",),
    "pre-commit": (".pre-commit-config.yaml",),
}
_RUNNER_FILES: Final = frozenset(name for names in _RUNNERS.values() for name in names)
_SHELL_SUFFIXES: Final = frozenset({".sh", ".bash", ".zsh", ".bats", ".ps1", ".cmd"})
_MAX_LEVELS: Final = 3
_MAX_FILES: Final = 50
_MAX_BYTES: Final = 2**16


def is_script(path: str, *, is_executable: bool) -> bool:
    """Whether a file is one that other scripts run."""
    return is_executable or PurePosixPath(path).suffix.lower() in _SHELL_SUFFIXES


def package_scripts(files: CommitFiles, commands: Sequence[str]) -> list[str]:
    """Return the scripts of a commit's package.json that the commands run."""
    words = {word for command in commands for word in command.split()}
    package = files.find("package.json") if words & _PACKAGE_RUNNERS else None
    if package is None or not package.is_regular:
        return []
    scripts = scripts_of(files.contents([package])[package.blob].decode("utf-8", "replace"))
    return [script for name, script in scripts.items() if name in words or (name == "test" and "t" in words)]


def script_texts(files: CommitFiles, commands: Sequence[str]) -> Iterator[str]:
    """Yield the texts of a commit's scripts that the commands run, and of those that these scripts run in turn."""
    scripts = {file.path: file for file in files.all() if _has_script(file)}
    words = {word for command in commands for word in words_in(command)}
    words |= {path for word in words for path in _RUNNERS.get(word, ())}
    for _ in range(_MAX_LEVELS):
        named = [scripts.pop(word) for word in sorted(words) if word in scripts][:_MAX_FILES]
        texts = list(_texts(files, named))
        yield from texts
        words = {word for text in texts for word in words_in(text)}


def _texts(files: CommitFiles, named: Sequence[CommitFile]) -> Iterator[str]:
    sizes = files.sizes(named)
    small = [file for file in named if sizes[file.blob] <= _MAX_BYTES]
    contents = files.contents(small)
    return (contents[file.blob].decode("utf-8", "replace") for file in small)


def _has_script(file: CommitFile) -> bool:
    return file.is_regular and (file.path in _RUNNER_FILES or is_script(file.path, is_executable=file.is_executable))

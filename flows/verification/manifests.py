"""Finds changes after which the setup has to run again: of manifests, of lock files, and of the setup's own scripts."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from flows.repository.objects import ChangedFile
from flows.verification.named_files import named_files

_PATTERNS: Final = (
    "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", ".yarnrc.yml", "pnpm-lock.yaml",
    "pnpm-workspace.yaml", "bun.lock", "bun.lockb", "deno.json", "deno.jsonc", "deno.lock", ".npmrc", ".nvmrc",
    "pyproject.toml", "setup.py", "setup.cfg", "*requirements*.txt", "*requirements*.in", "constraints*.txt", "uv.lock",
    "poetry.lock", "pdm.lock", "pylock*.toml", "pipfile", "pipfile.lock", "environment*.yml", "environment*.yaml",
    ".python-version", "go.mod", "go.sum", "go.work", "go.work.sum", "cargo.toml", "cargo.lock", "rust-toolchain*",
    "pom.xml", "build.gradle*", "settings.gradle*", "gradle.properties", "gradle.lockfile", "*.versions.toml",
    "gradle-wrapper.properties", "build.sbt", "gemfile*", "*.gemspec", ".ruby-version", "composer.json",
    "composer.lock", "*.csproj", "*.fsproj", "*.vbproj", "*.sln", "packages.lock.json", "packages.config",
    "directory.packages.props", "directory.build.props", "global.json", "nuget.config", "mix.exs", "mix.lock",
    "rebar.config", "rebar.lock", "pubspec.yaml", "pubspec.lock", "package.swift", "package.resolved", "podfile*",
    "stack.yaml*", "*.cabal", "cabal.project*", "project.toml", "manifest.toml", "conanfile.*", "vcpkg.json",
    ".tool-versions", "mise.toml", "flake.nix", "flake.lock", "shell.nix", "default.nix", ".gitmodules",
)  # fmt: skip
"""Names of files, in small letters, that say what a setup installs. They count in every folder."""


def needs_setup(files: Iterable[ChangedFile], setup: str) -> bool:
    """Whether the setup has to run again after a change.

    Args:
        files: The changed files.
        setup: The text of the setup command. The files that it names count as well.
    """
    paths = {path for file in files for path in (file.path, file.old_path)}
    names = {PurePosixPath(path).name.lower() for path in paths}
    return any(fnmatchcase(name, pattern) for name in names for pattern in _PATTERNS) or bool(
        named_files([setup], paths)
    )

"""Says which cached files a setup can use: those of the same repository, lock files, setup command and machine."""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flows.repository.cache_paths import tracked_path
from flows.repository.clone import Checkout
from flows.repository.commit_files import CommitFiles
from flows.sandbox.machine import machine_digest
from flows.sandbox.workspace import Workspace

LOCK_FILES: Final = (
    "bun.lock", "bun.lockb", "build.gradle", "build.gradle.kts", "build.sbt", "Cargo.lock", "Cargo.toml",
    "composer.json", "composer.lock", "deno.lock", "environment.yml", "Gemfile", "Gemfile.lock", "go.mod", "go.sum",
    "gradle-wrapper.properties", "gradle.lockfile", "libs.versions.toml", "maven-wrapper.properties", "mix.lock",
    "npm-shrinkwrap.json", "package-lock.json", "package.json", "packages.lock.json", "pdm.lock", "Pipfile",
    "Pipfile.lock", "pnpm-lock.yaml", "poetry.lock", "pom.xml", "pubspec.lock", "pylock.toml", "pyproject.toml",
    "settings.gradle", "settings.gradle.kts", "setup.cfg", "setup.py", "uv.lock", "yarn.lock", ".node-version",
    ".nvmrc", ".python-version", ".tool-versions",
)  # fmt: skip
"""The names of files that say what a setup installs. `requirements*.txt` and `constraints*.txt` are added to them."""

_NAMES: Final = re.compile(
    rb"[\t/](?:%s|(?:requirements|constraints)[^/\0]*\.txt)\0"
    % b"|".join(re.escape(name.encode()) for name in LOCK_FILES)
)
_SLOT_DIGITS: Final = 32


@dataclass(frozen=True)
class CacheKey:
    """Which cache a setup uses, and what must be the same in it."""

    slot: str
    """The name of the place for the cache. A newer cache in the same place replaces the older one."""
    parts: Mapping[str, str]
    """A digest of each thing that must be the same, by its name."""
    may_save: bool
    """Whether this run may save a cache."""


class NoCache(Exception):
    """A run cannot use a cache. The message says why."""


def cache_key(workspace: Workspace, checkout: Checkout, repo_url: str, script: str) -> CacheKey:
    """Return the key of the cache for a setup.

    Args:
        workspace: The run's directories.
        checkout: What is checked out in the work tree.
        repo_url: The URL of the repository.
        script: The setup command.

    Raises:
        NoCache: The work starts from no branch, or the base commit tracks one of the paths.
    """
    if not checkout.cache_branch:
        raise NoCache("the work does not start from a branch")
    files = CommitFiles.of(workspace.clean_git, checkout.base_commit)
    if path := tracked_path(files, checkout.cache):
        raise NoCache(f"{path!r} is in the commit that the work starts from")
    place = {
        "repository": repo_url,
        "branch": checkout.cache_branch,
        "architecture": f"{platform.system()} {platform.machine()}",
        "work tree": str(workspace.work_tree),
    }
    parts = {
        "lock files": _digest(sorted(_lock_files(files.listing))),
        "setup command": _digest(script),
        "cached paths": _digest(checkout.cache),
        "image": machine_digest(),
    }
    may_save = checkout.base_branch == checkout.cache_branch
    return CacheKey(
        _digest(place)[:_SLOT_DIGITS], {**parts, **{name: _digest(it) for name, it in place.items()}}, may_save
    )


def _lock_files(listing: bytes) -> list[str]:
    """Return the entries of the lock files, with the ids of their contents."""
    entries = []
    for match in _NAMES.finditer(listing):
        start = listing.rfind(b"\0", 0, match.start() + 1) + 1
        entries.append(listing[start : match.end() - 1].decode("utf-8", "surrogateescape"))
    return entries


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

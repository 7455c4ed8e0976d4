"""The policies on a change: what it may not hold when it leaves, read from git's objects alone."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from flows.checks.leaks import check_message, check_secrets
from flows.errors import (
    AgentFilesChanged,
    CiFilesChanged,
    FileTooLarge,
    RunError,
    TooManyDeletions,
    UnexpectedSubmodule,
    UnsafeSymlink,
)
from flows.parameters.change_policy import ChangePolicy
from flows.repository import objects as git_objects
from flows.repository.collect import Change
from flows.repository.objects import SUBMODULE, SYMLINK, ChangedFile

_SHOWN: Final = 5
_FEW_FILES: Final = 10
_LINKS_FOLLOWED: Final = 40
"""As many as Linux follows in one path (path_resolution(7))."""

_CI_FILES: Final = (
    ".github/workflows/*", ".github/actions/*", "codeowners", ".gitea/workflows/*", ".forgejo/workflows/*",
    ".gitlab-ci*.yml", ".gitlab-ci*.yaml", ".gitlab/ci/*", ".circleci/*", "jenkinsfile*", "*.jenkinsfile",
    "azure-pipelines*.yml", "azure-pipelines*.yaml", ".azure-pipelines/*", "bitbucket-pipelines.yml", "buildspec*.yml",
    "buildspec*.yaml", "cloudbuild.yaml", "cloudbuild.yml", "cloudbuild.json", ".travis.yml", "appveyor.yml",
    ".appveyor.yml", ".drone.yml", ".drone.star", ".drone.jsonnet", ".woodpecker/*", ".woodpecker.yml",
    ".woodpecker.yaml", ".buildkite/*", ".teamcity/*", ".semaphore/*", ".tekton/*", ".cirrus.yml", ".cirrus.star",
    "codefresh.yml", "screwdriver.yaml", ".builds/*", ".build.yml",
)  # fmt: skip
"""What CI services run, or ask for reviews by, as each documents it; below any directory, because some look there."""

_AGENT_FILES: Final = (
    ".claude/*", ".mcp.json", ".claude.json", ".cursor/*", ".codex/*", ".gemini/*", ".vscode/tasks.json",
    ".vscode/mcp.json",
)  # fmt: skip
"""Settings of coding agents and editors that name programs to run when the repository is opened."""


@dataclass(frozen=True)
class _PathRule:
    """Files that a change may only touch if a field of the policy says so."""

    allowed_by: str
    error: type[RunError]
    what: str
    is_meant: Callable[[ChangedFile], bool]


_PATH_RULES: Final = (
    _PathRule(
        "allow_submodules",
        UnexpectedSubmodule,
        "the change touches submodules, or holds another repository",
        lambda file: SUBMODULE in {file.mode, file.old_mode} or file.path == ".gitmodules",
    ),
    _PathRule(
        "allow_ci_changes",
        CiFilesChanged,
        "the change touches what CI runs with credentials of its own",
        lambda file: _is_one_of(_CI_FILES, file),
    ),
    _PathRule(
        "allow_agent_files",
        AgentFilesChanged,
        "the change touches what agents and editors run when they open the repository",
        lambda file: _is_one_of(_AGENT_FILES, file),
    ),
)


def check_change(git_dir: Path, change: Change, policy: ChangePolicy) -> None:
    """Raise the named error of the first thing in a change that its policy does not allow."""
    files = git_objects.changed_files(git_dir, change.checkout.base_commit, change.commit)
    _check_paths(files, policy)
    sizes = git_objects.sizes(git_dir, {blob for file in files for blob in file.blobs})
    _check_sizes(files, sizes, policy)
    if not policy.allow_outside_links and any(file.mode == SYMLINK for file in files):
        _check_links(git_dir, change.commit, files)
    _check_deletions(files, git_objects.file_count(git_dir, change.checkout.base_commit), policy)
    check_message(git_objects.message(git_dir, change.commit))
    for portion in git_objects.in_portions(files, sizes):
        check_secrets(git_dir, portion, policy.allow_secrets_in)


def _check_paths(files: Sequence[ChangedFile], policy: ChangePolicy) -> None:
    for rule in _PATH_RULES:
        found = _where(files, rule.is_meant)
        if found and not getattr(policy, rule.allowed_by):
            raise rule.error(f"{rule.what}: {found}: set policy.{rule.allowed_by} if that is wanted")


def _is_one_of(patterns: Sequence[str], file: ChangedFile) -> bool:
    paths = {f"/{path.lower()}" for path in (file.path, file.old_path)}
    return any(fnmatchcase(path, f"*/{pattern}") for path in paths for pattern in patterns)


def _check_sizes(files: Sequence[ChangedFile], sizes: Mapping[str, int], policy: ChangePolicy) -> None:
    most = policy.max_file_mb * 10**6 or math.inf
    if large := _where(files, lambda file: sizes.get(file.blob, 0) > most):
        raise FileTooLarge(
            f"over {policy.max_file_mb} MB: {large}: have the agent leave it out (.gitignore), use Git LFS, or raise "
            "policy.max_file_mb"
        )


def _check_links(git_dir: Path, commit: str, files: Sequence[ChangedFile]) -> None:
    blobs = git_objects.links(git_dir, commit)
    contents = git_objects.contents(git_dir, set(blobs.values()))
    targets = {path: contents[blob].decode("utf-8", "surrogateescape") for path, blob in blobs.items()}
    if outside := _where(files, lambda file: file.mode == SYMLINK and leads_outside(file.path, targets)):
        raise UnsafeSymlink(
            f"symbolic links that lead out of the repository: {outside}: have the agent copy what they name, or set "
            "policy.allow_outside_links"
        )


def leads_outside(link: str, targets: Mapping[str, str]) -> bool:
    """Whether following a link can leave the repository, or reach its .git; other links on the way are followed too."""
    rest, here, followed = link.split("/")[::-1], list[str](), 0
    while rest:
        part = rest.pop()
        if part in {"", "."}:
            continue
        if part == ".." and not here:
            return True
        here = here[:-1] if part == ".." else [*here, part]
        if here and here[0].lower() == ".git":
            return True
        if (target := targets.get("/".join(here))) is not None:
            followed += 1
            if target.startswith("/") or followed > _LINKS_FOLLOWED:
                return True
            here = here[:-1]
            rest.extend(target.split("/")[::-1])
    return False


def _check_deletions(files: Sequence[ChangedFile], before: int, policy: ChangePolicy) -> None:
    deleted = sum(file.is_deleted for file in files)
    if deleted > _FEW_FILES and deleted > before * policy.max_deleted_share:
        raise TooManyDeletions(
            f"the change deletes {deleted} of {before} files, {_where(files, lambda file: file.is_deleted)}: raise "
            "policy.max_deleted_share if that is wanted"
        )


def _where(files: Iterable[ChangedFile], is_meant: Callable[[ChangedFile], bool]) -> str:
    """Name the files that are meant, a few of them."""
    found = [file.path for file in files if is_meant(file)]
    return ", ".join(_shown(found))


def _shown(paths: Sequence[str]) -> Iterator[str]:
    for path in paths[:_SHOWN]:
        yield repr(path.encode("utf-8", "replace").decode())
    if len(paths) > _SHOWN:
        yield f"and {len(paths) - _SHOWN} more"

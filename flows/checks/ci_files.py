"""Refuses changes to files that CI runs, because CI runs them with its own credentials."""

from typing import Final

from flows.checks.base import Inspection, matches
from flows.errors import CiFilesChanged

_PATTERNS: Final = (
    ".github/workflows/*", ".github/actions/*", "codeowners", ".gitea/workflows/*", ".forgejo/workflows/*",
    ".gitlab-ci*.yml", ".gitlab-ci*.yaml", ".gitlab/ci/*", ".circleci/*", "jenkinsfile*", "*.jenkinsfile",
    "azure-pipelines*.yml", "azure-pipelines*.yaml", ".azure-pipelines/*", "bitbucket-pipelines.yml", "buildspec*.yml",
    "buildspec*.yaml", "cloudbuild.yaml", "cloudbuild.yml", "cloudbuild.json", ".travis.yml", "appveyor.yml",
    ".appveyor.yml", ".drone.yml", ".drone.star", ".drone.jsonnet", ".woodpecker/*", ".woodpecker.yml",
    ".woodpecker.yaml", ".buildkite/*", ".teamcity/*", ".semaphore/*", ".tekton/*", ".cirrus.yml", ".cirrus.star",
    "codefresh.yml", "screwdriver.yaml", ".builds/*", ".build.yml",
)  # fmt: skip
"""Patterns of files that CI services run, or that choose reviewers, from the documentation of each service. A change
may not touch such a file in any directory, because some services also read the files of subdirectories."""


def check_ci_files(inspection: Inspection) -> None:
    """Raise `CiFilesChanged` if a changed file matches `_PATTERNS`, unless `allow_ci_changes` is set."""
    files = inspection.name_files(lambda file: matches(file, _PATTERNS))
    if files and not inspection.policy.allow_ci_changes:
        raise CiFilesChanged(
            f"the change touches files that CI runs with its own credentials: {files}: set policy.allow_ci_changes if "
            "that is wanted"
        )

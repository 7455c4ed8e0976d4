"""Names the files that CI services run."""

from typing import Final

PATTERNS: Final = (
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

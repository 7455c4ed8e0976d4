"""Changes after which the setup runs again."""

import pytest

from flows.repository.objects import ChangedFile
from flows.verification.manifests import needs_setup


def changed(path: str, old_path: str = "") -> ChangedFile:
    return ChangedFile(path, old_path or path, "100644", "100644", "1" * 40, "2" * 40)


@pytest.mark.parametrize(
    "path",
    [
        "package.json", "packages/a/package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "pyproject.toml",
        "setup.py", "setup.cfg", "requirements.txt", "requirements-dev.txt", "requirements/test-requirements.in",
        "uv.lock", "poetry.lock", "Pipfile", "Pipfile.lock", "go.mod", "go.sum", "Cargo.toml", "Cargo.lock", "pom.xml",
        "build.gradle", "app/build.gradle.kts", "gradle.lockfile", "gradle/libs.versions.toml", "Gemfile",
        "Gemfile.lock", "composer.json", "composer.lock", "src/App.csproj", ".gitmodules", ".python-version",
    ],
)  # fmt: skip
def test_a_manifest_or_lock_file_counts_in_any_folder(path: str) -> None:
    assert needs_setup([changed("src/main.py"), changed(path)], "npm ci")


def test_a_file_that_the_setup_names_counts() -> None:
    path = "scripts/setup.sh"
    assert needs_setup([changed(path)], "sh ./scripts/setup.sh --all")
    assert needs_setup([changed("scripts/other.sh", path)], "cd scripts && ./setup.sh")
    assert needs_setup([changed("tools/prepare.py")], "python -m tools.prepare")


def test_other_files_do_not() -> None:
    paths = ("src/main.py", "README.md", "docs/requirements.md", "package.json.md", "scripts/setup.sh", "lock")
    assert not needs_setup([changed(path) for path in paths], "npm ci")
    assert not needs_setup([], "sh scripts/setup.sh")
    assert needs_setup([changed("new/place.json", "old/package.json")], "npm ci")

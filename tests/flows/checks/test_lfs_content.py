"""The checks see the content of a change's files of Git LFS: it leaves the run as other files do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.checks.table import check_change
from flows.errors import FileTooLarge, LfsFileWithoutPointer, SecretInChange
from flows.parameters.change_policy import ChangePolicy
from flows.sandbox.workspace import Workspace, workspace
from tests.support.lfs_repository import ATTRIBUTES, CONTENT, LfsRepository, lfs_repository

GITHUB_TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[LfsRepository]:
    with lfs_repository(tmp_path, {".gitattributes": ATTRIBUTES, "a.bin": CONTENT}) as served:
        yield served


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as created:
        yield created


def test_a_secret_in_the_content_is_refused(repository: LfsRepository, directories: Workspace) -> None:
    change = repository.change(directories, f"echo 'token = {GITHUB_TOKEN}' > new.bin; echo more > a.bin")
    with pytest.raises(SecretInChange, match=r"new\.bin"):
        check_change(directories.clean_git, change, ChangePolicy())
    check_change(directories.clean_git, change, ChangePolicy(allow_secrets_in=("new.bin",)))


def test_content_that_is_too_large_is_refused(repository: LfsRepository, directories: Workspace) -> None:
    change = repository.change(directories, "head -c 1000001 /dev/zero > new.bin; cp a.bin same.bin")
    with pytest.raises(FileTooLarge, match=r"more than 1 MB: 'new\.bin':"):
        check_change(directories.clean_git, change, ChangePolicy(max_file_mb=1))
    check_change(directories.clean_git, change, ChangePolicy(max_file_mb=2))


def test_content_without_a_filter_is_refused(repository: LfsRepository, directories: Workspace) -> None:
    script = (
        "git config --unset filter.lfs.clean; git config filter.lfs.required false; git checkout -q -b mine; "
        "printf raw > a.bin; git commit -qm raw a.bin; git checkout -q new"
    )
    change = repository.change(directories, script)
    with pytest.raises(LfsFileWithoutPointer, match="Start a run with lfs"):
        check_change(directories.clean_git, change, ChangePolicy())

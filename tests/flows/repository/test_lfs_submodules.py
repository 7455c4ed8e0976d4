"""Git LFS and submodules in one repository: the submodules keep their pointers, and are not changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from git import RemoteProgress

from flows.repository.clone import Checkout, clone
from flows.repository.collect import collect
from flows.sandbox.workspace import Workspace, workspace
from tests.support.lfs_repository import (
    ATTRIBUTES,
    CONTENT,
    IDENTITY,
    NAME,
    LfsRepository,
    as_agent,
    lfs_repository,
    pointer_to,
    write_files,
)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[LfsRepository]:
    modules = '[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n'
    files: dict[str, str | bytes] = {".gitattributes": ATTRIBUTES, "a.bin": CONTENT, ".gitmodules": modules}
    with lfs_repository(tmp_path, files) as served:
        (tmp_path / "lib").mkdir()
        own: dict[str, str | bytes] = {".gitattributes": ATTRIBUTES, "l.bin": CONTENT, "raw.bin": "raw\n"}
        write_files(tmp_path / "lib", served.storage, "team/lib", own)
        served.git.create("team/lib", tmp_path / "lib")
        linked = served.git.git("team/lib", "rev-parse", "main").strip()
        git, identity = served.git.git, ("-c", "user.name=t", "-c", "user.email=t@t")
        git(NAME, "read-tree", "main")
        git(NAME, "update-index", "--add", "--cacheinfo", f"160000,{linked},lib")
        tree = git(NAME, "write-tree").strip()
        git(
            NAME,
            "update-ref",
            "refs/heads/main",
            git(NAME, *identity, "commit-tree", tree, "-p", "main", "-m", "l").strip(),
        )
        yield served


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as created:
        yield created


def cloned(repository: LfsRepository, directories: Workspace) -> Checkout:
    return clone(
        directories,
        repository.remote(directories.trusted),
        branch="new",
        base_branch="",
        depth=50,
        allow_default_branch=False,
        progress=RemoteProgress(),
        submodules=True,
        lfs=True,
    )


def test_a_submodule_with_files_of_git_lfs_is_unchanged(repository: LfsRepository, directories: Workspace) -> None:
    checkout = cloned(repository, directories)
    work_tree = directories.work_tree
    assert (work_tree / "a.bin").read_bytes() == CONTENT
    assert (work_tree / "lib" / "l.bin").read_text() == pointer_to(CONTENT)
    assert (work_tree / "lib" / "raw.bin").read_text() == "raw\n"
    assert as_agent(directories, "git status --porcelain; git -C lib status --porcelain") == ""
    change = collect(directories, checkout, IDENTITY)
    assert (change.commit, change.left_aside, change.notes, change.fault) == ("", (), (), "")
    as_agent(directories, "echo x > x.txt")
    change = collect(directories, checkout, IDENTITY)
    assert ([file.path for file in change.files], change.left_aside, change.notes) == (["x.txt"], (), ())

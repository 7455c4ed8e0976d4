"""A merge of the base branch brings its files of Git LFS, and its links to submodules where the agent changed none."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.repository import snapshot
from flows.repository.base_branch import commit_of_tree, merge
from flows.repository.clone import Checkout
from flows.repository.collect import Change, collect
from flows.repository.git_commands import run_git
from flows.repository.lfs_files import fetch_lfs_files
from flows.repository.lfs_upload import upload_objects
from flows.repository.submodules import check_submodule_links
from flows.sandbox.workspace import Workspace, workspace
from tests.support.lfs_repository import ATTRIBUTES, IDENTITY, NAME, LfsRepository, as_agent, lfs_repository, pointer_to

OLD, NEW = "1" * 40, "2" * 40
FILES: dict[str, str | bytes] = {".gitattributes": ATTRIBUTES, "a.bin": b"old", "a.txt": "a\n"}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[LfsRepository]:
    with lfs_repository(tmp_path, FILES) as served:
        yield served


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as created:
        yield created


def commit(repository: LfsRepository, folder: Path, parent: str, files: dict[str, str], linked: dict[str, str]) -> str:
    """Commit files and links to submodules on top of a commit; an empty content or link removes the entry."""
    environment = {**os.environ, "GIT_INDEX_FILE": str(folder / "an-index"), "GIT_WORK_TREE": str(folder)}
    git_dir = repository.git.root / f"{NAME}.git"
    run_git(["read-tree", parent], git_dir=git_dir, environment=environment)
    for path, content in files.items():
        (folder / "content").write_text(content)
        blob = run_git(["hash-object", "-w", str(folder / "content")], git_dir=git_dir).text
        update = ["update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"]
        run_git(update, git_dir=git_dir, environment=environment)
    for path, target in linked.items():
        change = ["--add", "--cacheinfo", f"160000,{target},{path}"] if target else ["--force-remove", path]
        run_git(["update-index", *change], git_dir=git_dir, environment=environment)
    tree = run_git(["write-tree"], git_dir=git_dir, environment=environment).text
    who = ["user.name=t", "user.email=t@example.com"]
    return run_git(["commit-tree", tree, "-p", parent, "-m", "x"], config=who, git_dir=git_dir).text


def merged_work(repository: LfsRepository, directories: Workspace, head: str, base: str) -> Checkout:
    """Return the checkout of a branch, into whose work tree the base branch is merged."""
    repository.git.git(NAME, "update-ref", "refs/heads/main", head)
    repository.git.git(NAME, "update-ref", "refs/heads/base", base)
    checkout = replace(repository.clone(directories), merged_commit=base)
    url = str(repository.git.root / f"{NAME}.git")
    fetch = ["fetch", "--quiet", url, "+refs/heads/base:refs/remotes/origin/base"]
    run_git(fetch, config=["protocol.file.allow=always"], git_dir=directories.clean_git)
    merged = merge(directories.clean_git, head, base)
    assert merged is not None
    fetch_lfs_files(directories, repository.remote(directories.trusted), head, merged.tree)
    snapshot.restore_commit(directories, commit_of_tree(directories.clean_git, merged.tree, head), head)
    return checkout


def finish(directories: Workspace, checkout: Checkout, script: str) -> Change:
    as_agent(directories, script)
    return collect(directories, checkout, IDENTITY)


def test_files_of_git_lfs_of_the_base_branch_have_their_content_and_are_not_uploaded_again(
    repository: LfsRepository, directories: Workspace, tmp_path: Path
) -> None:
    first = repository.git.git(NAME, "rev-parse", "main")
    head = commit(repository, tmp_path, first, {"a.txt": "b\n"}, {})
    pointer = repository.storage.add(NAME, b"new content")
    base = commit(repository, tmp_path, first, {"a.bin": pointer}, {})
    checkout = merged_work(repository, directories, head, base)
    assert (directories.work_tree / "a.bin").read_bytes() == b"new content"
    change = finish(directories, checkout, "printf mine > mine.bin")
    show = ["show", f"{change.commit}:a.bin"]
    assert run_git(show, git_dir=directories.clean_git).stdout.decode() == pointer
    assert [file.path for file in change.files] == ["mine.bin"]
    assert upload_objects(directories.clean_git, change, repository.remote(directories.trusted)) == 1
    assert (
        pointer_to(b"mine").encode()
        == run_git(["show", f"{change.commit}:mine.bin"], git_dir=directories.clean_git).stdout
    )
    assert hashlib.sha256(b"mine").hexdigest() in str(repository.storage.objects)


@pytest.mark.parametrize(
    ("before", "on_main", "after"),
    [
        ({"lib": OLD}, {"lib": NEW}, {"lib": NEW}),
        ({"lib": OLD}, {"more": NEW}, {"lib": OLD, "more": NEW}),
        ({"lib": OLD, "more": OLD}, {"more": ""}, {"lib": OLD}),
        ({"lib": OLD}, {}, {"lib": OLD}),
    ],
    ids=["moved", "added", "removed", "unchanged"],
)
def test_links_to_submodules_are_those_of_the_merge(
    repository: LfsRepository,
    directories: Workspace,
    tmp_path: Path,
    before: dict[str, str],
    on_main: dict[str, str],
    after: dict[str, str],
) -> None:
    modules = "".join(f'[submodule "{name}"]\n\tpath = {name}\n\turl = ../{name}.git\n' for name in ("lib", "more"))
    first = commit(
        repository, tmp_path, repository.git.git(NAME, "rev-parse", "main"), {".gitmodules": modules}, before
    )
    head = commit(repository, tmp_path, first, {"a.txt": "b\n"}, {})
    base = commit(repository, tmp_path, first, {"c.txt": "c\n"}, on_main)
    checkout = merged_work(repository, directories, head, base)
    change = finish(directories, checkout, "echo mine > mine.txt")
    listing = ["ls-tree", "-r", "--format=%(objecttype) %(path) %(objectname)", change.commit]
    rows = run_git(listing, git_dir=directories.clean_git).text.splitlines()
    assert dict(row.split(" ")[1:] for row in rows if row.startswith("commit")) == after
    assert [file.path for file in change.files] == ["mine.txt"]
    check_submodule_links(directories.clean_git, change, repository.remote(directories.trusted))

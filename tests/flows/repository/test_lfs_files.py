"""Files of Git LFS have their content in the work tree, are unchanged for git, and are pointers in a change."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from flows.errors import DiskFull, LfsFailed, LfsObjectMissing, LfsTooLarge
from flows.repository import lfs_files, snapshot
from flows.repository.collect import Change, bundle, collect, restore_change
from flows.repository.git_commands import run_git
from flows.repository.lfs_objects import saved_objects
from flows.repository.lfs_upload import upload_objects
from flows.repository.merge import apply_change
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
)

FILES: dict[str, str | bytes] = {
    ".gitattributes": ATTRIBUTES,
    "a.bin": CONTENT,
    "same.bin": CONTENT,
    "d/small.bin": b"x",
    "empty.bin": "",
    "plain.txt": "plain\n",
    "raw.bin": "content that was committed without Git LFS\n",
    "example.txt": f"version https://git-lfs.github.com/spec/v1\noid sha256:{'7' * 64}\nsize 7\n",
    ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:9/evil\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[LfsRepository]:
    with lfs_repository(tmp_path, FILES) as served:
        yield served


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as created:
        yield created


def file_in(directories: Workspace, change: Change, path: str) -> str:
    return run_git(["show", f"{change.commit}:{path}"], git_dir=directories.clean_git).stdout.decode()


def upload(repository: LfsRepository, directories: Workspace, change: Change) -> int:
    return upload_objects(directories.clean_git, change, repository.remote(directories.trusted))


def test_files_have_their_content_and_are_unchanged_for_git(repository: LfsRepository, directories: Workspace) -> None:
    checkout = repository.clone(directories)
    work_tree = directories.work_tree
    assert (work_tree / "a.bin").read_bytes() == (work_tree / "same.bin").read_bytes() == CONTENT
    assert (work_tree / "d" / "small.bin").read_bytes() == b"x"
    assert (work_tree / "example.txt").read_text() == FILES["example.txt"]
    # As with the programs of Git LFS, git would store raw.bin in another way.
    assert as_agent(directories, "git status --porcelain -- . ':!raw.bin'; git diff --stat -- . ':!raw.bin'") == ""
    as_agent(directories, "touch [!r]*; cp a.bin b; cat b > a.bin; rm b; git add d")
    change = collect(directories, checkout, IDENTITY)
    assert change.fault == ""
    assert (change.commit, change.left_aside) == ("", ())
    assert repository.servers_with_token() == {"git"}
    [batch] = repository.storage.batches
    assert {row["size"] for row in batch["objects"]} == {1, len(CONTENT)}


def test_the_agents_own_git_works_with_pointers(repository: LfsRepository, directories: Workspace) -> None:
    repository.clone(directories)
    script = "echo new > a.bin; git commit -qm a a.bin; git show HEAD:a.bin; git checkout -q HEAD^; cksum [as]*.bin"
    *pointer, first, second = as_agent(directories, script).splitlines()
    assert "\n".join(pointer) + "\n" == pointer_to(b"new\n")
    assert first.split()[:2] == second.split()[:2]


CHANGED: dict[str, bytes] = {
    "a.bin": b"changed",
    "n/new.bin": b"new",
    "x.dat": b"a kind of file that the change adds to Git LFS",
    "same-content.bin": b"changed",
    "a 'b\" $c.bin": b"odd",
    "zero.bin": b"\0\0",
    "large.bin": bytes(3_000_000),
}
CHANGE = r"""
printf changed | tee a.bin > same-content.bin
mkdir n; printf new > n/new.bin
echo '*.dat filter=lfs -text' >> .gitattributes; printf 'a kind of file that the change adds to Git LFS' > x.dat
printf odd > "a 'b\" \$c.bin"
printf '\000\000' > zero.bin
head -c 3000000 /dev/zero > large.bin
git add n; git commit -qm n
"""


def test_new_and_changed_files_become_pointers_whose_objects_are_uploaded(
    repository: LfsRepository, directories: Workspace
) -> None:
    change = repository.change(directories, CHANGE)
    assert change.fault == ""
    assert {file.path for file in change.files} == {".gitattributes", *CHANGED}
    for path, content in CHANGED.items():
        assert file_in(directories, change, path) == pointer_to(content)
    assert upload(repository, directories, change) == len(set(CHANGED.values()))
    for content in CHANGED.values():
        assert repository.storage.objects[NAME, hashlib.sha256(content).hexdigest()] == content
    assert repository.storage.received == {}
    assert upload(repository, directories, change) == 0
    assert repository.servers_with_token() == {"git"}


def test_work_on_a_branch_has_its_objects(repository: LfsRepository, directories: Workspace) -> None:
    script = "git checkout -qb mine; printf b > a.bin; git commit -qm b a.bin; git checkout -q new"
    change = repository.change(directories, script)
    assert {file.path for file in change.files} == {"a.bin"}
    assert upload(repository, directories, change) == 1


def test_changes_without_new_content_need_no_upload(repository: LfsRepository, directories: Workspace) -> None:
    script = f"""
    chmod +x a.bin; rm same.bin; mv d/small.bin moved.bin; printf p > empty.bin; : > empty.bin
    printf '{pointer_to(b"x")}' > edited.bin; git checkout -q raw.bin
    """
    change = repository.change(directories, script)
    assert change.fault == ""
    assert {file.path for file in change.files} == {"a.bin", "same.bin", "d/small.bin", "moved.bin", "edited.bin"}
    assert file_in(directories, change, "moved.bin") == file_in(directories, change, "edited.bin") == pointer_to(b"x")
    tree = run_git(["ls-tree", change.commit, "a.bin"], git_dir=directories.clean_git).text
    assert tree.startswith("100755 blob")
    assert saved_objects(directories.clean_git) == {}
    assert upload(repository, directories, change) == 0


def test_a_pointer_to_an_object_that_no_one_has_is_refused(repository: LfsRepository, directories: Workspace) -> None:
    change = repository.change(directories, f"printf '{pointer_to(b'nowhere')}' > a.bin")
    with pytest.raises(LfsObjectMissing, match=r"'a\.bin'.*the agent wrote only a pointer"):
        upload(repository, directories, change)


def test_an_object_that_the_agent_falsified_is_not_uploaded(repository: LfsRepository, directories: Workspace) -> None:
    oid = hashlib.sha256(b"true").hexdigest()
    script = (
        "printf true > a.bin; git add a.bin; path=$(git config lfs.storage)/objects/{0}/{1}/{2}\n"
        "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:{2}\\nsize 4\\n' > a.bin; printf fals > $path"
    )
    change = repository.change(directories, script.format(oid[:2], oid[2:4], oid))
    with pytest.raises(LfsFailed, match="differs from its pointer"):
        upload(repository, directories, change)
    assert (NAME, oid) not in repository.storage.objects


def test_the_saved_change_has_the_objects_for_another_machine(
    repository: LfsRepository, directories: Workspace
) -> None:
    change = repository.change(directories, "printf other > a.bin")
    saved = bundle(directories.clean_git, change)
    with workspace() as other:
        repository.clone(other, lfs=False)
        restored = restore_change(other.clean_git, change.checkout, saved)
        assert restored.commit == change.commit
        assert upload(repository, other, restored) == 1
    assert repository.storage.objects[NAME, hashlib.sha256(b"other").hexdigest()] == b"other"


@pytest.mark.parametrize("later", ["printf two > a.bin", "git checkout -q a.bin", "git rm -qf a.bin"])
def test_an_earlier_change_that_counts_again_has_its_objects(
    repository: LfsRepository, directories: Workspace, later: str
) -> None:
    change = repository.change(directories, "printf one > a.bin")
    saved = bundle(directories.clean_git, change)
    as_agent(directories, later)
    collect(directories, change.checkout, IDENTITY)
    again = restore_change(directories.clean_git, change.checkout, saved)
    assert again.commit == change.commit
    assert bundle(directories.clean_git, again) != b""
    assert list(saved_objects(directories.clean_git)) == [hashlib.sha256(b"one").hexdigest()]
    assert upload(repository, directories, again) == 1


def test_an_earlier_change_without_objects_does_not_get_those_of_a_later_one(
    repository: LfsRepository, directories: Workspace
) -> None:
    change = repository.change(directories, "echo new > plain.txt")
    saved = bundle(directories.clean_git, change)
    as_agent(directories, "printf two > a.bin")
    collect(directories, change.checkout, IDENTITY)
    restore_change(directories.clean_git, change.checkout, saved)
    assert saved_objects(directories.clean_git) == {}


def test_a_change_on_a_commit_that_has_turned_lfs_off_is_not_delivered(
    repository: LfsRepository, directories: Workspace
) -> None:
    change = repository.change(directories, "printf other > other.bin")
    git_dir, base = directories.clean_git, change.checkout.base_commit
    rows = run_git(["ls-tree", base], git_dir=git_dir).text.splitlines(keepends=True)
    with TemporaryFile() as listing:
        listing.write("".join(row for row in rows if ".gitattributes" not in row).encode())
        listing.seek(0)
        tree = run_git(["mktree"], git_dir=git_dir, stdin=listing).text
    identity = ["user.name=a", "user.email=a@b"]
    newer = run_git(["commit-tree", tree, "-p", base, "-m", "m"], git_dir=git_dir, config=identity).text
    applied = apply_change(git_dir, change, replace(change.checkout, base_commit=newer, base_branch="main"))
    with pytest.raises(LfsFailed, match=r"'other\.bin': .*the newest commit does not store the file"):
        upload(repository, directories, applied)
    assert upload(repository, directories, change) == 1


def test_a_checkpoint_has_the_objects_for_another_machine(repository: LfsRepository, directories: Workspace) -> None:
    checkout = repository.clone(directories)
    as_agent(directories, "printf 1 > a.bin")
    snapshot.take(directories, checkout.base_commit)
    as_agent(directories, "printf 2 > a.bin; printf new > new.bin")
    commit = snapshot.take(directories, checkout.base_commit)
    assert snapshot.take(directories, checkout.base_commit) == commit
    saved = snapshot.bundle(directories, checkout.base_commit)
    with workspace() as other:
        repository.clone(other)
        snapshot.restore(other, saved, commit, checkout.base_commit)
        assert (other.work_tree / "a.bin").read_bytes() == b"2"
        assert (other.work_tree / "new.bin").read_bytes() == b"new"
        assert (other.work_tree / "same.bin").read_bytes() == CONTENT
        change = collect(other, checkout, IDENTITY)
        assert {file.path for file in change.files} == {"a.bin", "new.bin"}
        assert change.left_aside == ()
        assert upload(repository, other, change) == 2
        assert saved_objects(other.clean_git).keys() == {
            hashlib.sha256(content).hexdigest() for content in (b"2", b"new")
        }
        as_agent(other, "rm new.bin; git checkout -q a.bin; echo w > w.txt")
        change = collect(other, checkout, IDENTITY)
        assert {file.path for file in change.files} == {"w.txt"}
        assert change.left_aside == ()
        assert saved_objects(other.clean_git) == {}


def test_without_the_parameter_files_stay_pointers(repository: LfsRepository, directories: Workspace) -> None:
    repository.clone(directories, lfs=False)
    assert (directories.work_tree / "a.bin").read_text() == pointer_to(CONTENT)
    assert repository.storage.batches == []


def test_a_missing_object_is_named(repository: LfsRepository, directories: Workspace) -> None:
    repository.storage.objects.clear()
    with pytest.raises(LfsObjectMissing, match=r"the content of '(a|same|d/small)\.bin'.*git lfs push --all"):
        repository.clone(directories)


def test_objects_are_bounded(
    repository: LfsRepository, directories: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lfs_files, "MAX_FETCHED_GB", 1e-6)
    with pytest.raises(LfsTooLarge):
        repository.clone(directories)
    monkeypatch.undo()
    monkeypatch.setattr(lfs_files, "_COPIES", 10**12)
    with pytest.raises(DiskFull):
        repository.clone(directories)
    assert repository.storage.batches == []


def test_many_objects_are_asked_for_in_portions_and_only_once(tmp_path: Path, directories: Workspace) -> None:
    files: dict[str, str | bytes] = {f"{number}.bin": str(number).encode() for number in range(130)}
    with lfs_repository(tmp_path, {**files, ".gitattributes": ATTRIBUTES}) as repository:
        last = files["99.bin"]  # the last one by name
        assert isinstance(last, bytes)
        removed = repository.storage.objects.pop((NAME, hashlib.sha256(last).hexdigest()))
        with pytest.raises(LfsObjectMissing):
            repository.clone(directories)
        repository.storage.add(NAME, removed)
        count = len(repository.storage.requests)
        repository.clone(directories)
        assert [len(batch["objects"]) for batch in repository.storage.batches[:2]] == [100, 30]
        assert 0 < len(repository.storage.batches[2]["objects"]) <= 130 - count
        assert len(repository.storage.requests) == 130
        assert all((directories.work_tree / name).read_bytes() == content for name, content in files.items())


def test_filters_that_the_agent_configures_do_not_run_in_the_collection(
    repository: LfsRepository, directories: Workspace
) -> None:
    evil = f"touch {directories.tmp}/ran; cat"
    script = "".join(f"git config filter.lfs.{key} '{evil}'\n" for key in ("process", "clean", "smudge"))
    change = repository.change(directories, f"{script}printf mine > a.bin; rm -f {directories.tmp}/ran")
    assert file_in(directories, change, "a.bin") == pointer_to(b"mine")
    assert not (directories.tmp / "ran").exists()

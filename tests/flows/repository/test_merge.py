"""Applying a change to a newer commit: what merges, which conflicts are named, and what a repetition does."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from flows.errors import ChangeConflicts, GitTooOld
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.git_commands import run_git
from flows.repository.merge import apply_change

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{role}_{key}": "a@example.com" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
    **{f"GIT_{role}_DATE": "@1700000000 +0000" for role in ("AUTHOR", "COMMITTER")},
}
BASE = r"""
seq 20 > text.txt; echo run > tool.sh; mkdir dir; seq 9 > dir/one.txt; seq 9 | tac > dir/two.txt; ln -s text.txt link
seq 20 > packages.lock; printf 'a\0b' > binary; echo '*.lock -merge' > .gitattributes
git update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,module
"""
LINK_TO_MODULE = "git update-index --cacheinfo 160000,{}{},module"
MESSAGE = "Implement\n\nPrefect-Flow-Run: x\n"


class Repository:
    """A repository with a base, the change of a run, and a newer commit by another person."""

    def __init__(self, root: Path) -> None:
        self.root, self.clean = root / "work", root / "clean.git"
        self.root.mkdir()
        # Only the tests have an index and a work tree: the trusted repository of a run is bare.
        places = {"GIT_DIR": self.clean, "GIT_WORK_TREE": self.root, "GIT_INDEX_FILE": root / "index"}
        self.environment = {**ENVIRONMENT, **{name: str(path) for name, path in places.items()}}
        run_git(["init", "--quiet", "--bare", "--initial-branch=base", "--template=", str(self.clean)])
        self.commit("base", BASE)

    def git(self, *arguments: str) -> str:
        process = subprocess.run(
            ["git", *arguments], cwd=self.root, env=self.environment, check=True, capture_output=True, text=True
        )
        return process.stdout.strip()

    def commit(self, branch: str, script: str, message: str = "other", start: str = "HEAD") -> str:
        """Make a commit on a branch from what a shell script does, and return its id."""
        if branch != "base":
            self.git("checkout", "--quiet", "-B", branch, start)
        subprocess.run(["bash", "-ec", script], cwd=self.root, env=self.environment, check=True)
        module = self.git("ls-files", "--stage", "module").split()[:2]
        self.git("add", "--all", "--force")
        if module:  # `git add` takes the absent folder of a submodule for a deletion
            self.git("update-index", "--add", "--cacheinfo", f"{module[0]},{module[1]},module")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def apply(self, change: str, newer: str, *, branch: str = "new", start: str = "main") -> Change:
        """Apply what the script `change` does to a commit with what the script `newer` does."""
        commit = self.commit("change", change, MESSAGE, "base")
        return self.apply_commit(commit, self.commit("newer", newer, start="base"), branch=branch, start=start)

    def apply_commit(self, commit: str, newer: str, *, branch: str = "new", start: str = "main") -> Change:
        return apply_change(self.clean, self.change(commit), Checkout(branch, start, newer, ""))

    def change(self, commit: str) -> Change:
        return Change(commit, Checkout("saved", "main", self.git("rev-parse", f"{commit}^"), ""), notes=("a note",))

    def result(self, *arguments: str) -> str:
        return run_git(arguments, git_dir=self.clean).text


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("change", "newer", "conflicts"),
    [
        ("sed -i 1s/.*/x/ text.txt", "sed -i 1s/.*/y/ text.txt", "'text.txt' (contents)"),
        ("echo x > new.txt", "echo y > new.txt", "'new.txt' (add/add)"),
        ("echo x >> text.txt", "rm text.txt", "'text.txt' (modify/delete)"),
        ("rm text.txt", "echo x >> text.txt", "'text.txt' (modify/delete)"),
        ("printf 'x\\0b' > binary", "printf 'y\\0b' > binary", "'binary' (binary)"),
        ("ln -sf tool.sh link", "ln -sf dir link", "'link' (contents)"),
        ("echo x > link.new; mv link.new link", "ln -sf dir link", "'link' (distinct modes)"),
        ("mkdir new; echo x > new/file", "echo y > new", "'new' (file/directory)"),
        ("git mv text.txt a.txt", "git mv text.txt b.txt", "'text.txt' (rename/rename)"),
        ("git mv text.txt a.txt", "git rm --quiet text.txt", "'a.txt' (rename/delete)"),
        ("echo x > dir/new.txt", "git mv dir folder", "'folder/new.txt' (directory rename suggested)"),
        (LINK_TO_MODULE.format("2" * 39, 0), LINK_TO_MODULE.format("3" * 39, 0), "'module' (submodule"),
        ("sed -i 1s/.*/x/ packages.lock", "sed -i 20s/.*/y/ packages.lock",
         "'packages.lock' (binary by .gitattributes)"),
        ("echo x > $'a\\nb\\xff'", "echo y > $'a\\nb\\xff'", "'a\\nb?' (add/add)"),
        ("for n in 1 2 3 4 5 6 7; do echo x > $n; done", "for n in 1 2 3 4 5 6 7; do echo y > $n; done",
         "'5' (add/add), and 2 more"),
    ],
    ids=["contents", "add/add", "delete", "modify", "binary", "link", "type", "folder", "rename/rename",
         "rename/delete", "folder-renamed", "submodule", "attribute", "odd-path", "many"],
)  # fmt: skip
def test_each_kind_of_conflict_is_named(repository: Repository, change: str, newer: str, conflicts: str) -> None:
    with pytest.raises(ChangeConflicts) as raised:
        repository.apply(change, newer)
    tip = repository.git("rev-parse", "newer")[:12]
    assert str(raised.value).startswith(f"the change conflicts with main at {tip}: '")
    assert conflicts in str(raised.value)


@pytest.mark.parametrize(
    ("change", "newer", "path", "content"),
    [
        ("sed -i 1s/.*/x/ text.txt", "sed -i 20s/.*/y/ text.txt", "text.txt",
         "\n".join(["x", *map(str, range(2, 20)), "y"])),
        ("sed -i 1s/.*/x/ dir/one.txt", "git mv dir/one.txt moved.txt", "moved.txt", "x\n" + "\n".join("23456789")),
        ("chmod +x tool.sh", "echo more >> tool.sh", "tool.sh", "run\nmore"),
        ("ln -sf tool.sh link", "echo x >> text.txt", "link", "tool.sh"),
        ("echo x > $'a\\nb\\xff'", "echo y > other", "a\nb\udcff", "x"),
        ("sed -i 1s/.*/x/ packages.lock", "echo y > other", "packages.lock", "\n".join(["x", *map(str, range(2, 21))])),
    ],
    ids=["lines", "moved", "mode", "link", "odd-path", "attribute-of-one-side"],
)  # fmt: skip
def test_changes_that_do_not_conflict_are_merged(
    repository: Repository, change: str, newer: str, path: str, content: str
) -> None:
    applied = repository.apply(change, newer)
    assert repository.result("show", f"{applied.commit}:{path}") == content
    assert [file.path for file in applied.files] == [path]
    if change.startswith("chmod"):
        assert repository.result("ls-tree", applied.commit, path).startswith("100755")


def test_a_link_to_a_submodule_that_only_one_side_changed_is_merged(repository: Repository) -> None:
    applied = repository.apply(LINK_TO_MODULE.format("2" * 39, 0), "echo y > other")
    assert "2" * 39 in repository.result("ls-tree", applied.commit, "module")


def test_the_commit_has_the_author_date_and_message_of_the_change_on_top_of_the_newer_commit(
    repository: Repository,
) -> None:
    applied = repository.apply("echo x > new.txt", "echo y > other")
    saved, newer = repository.git("rev-parse", "change"), repository.git("rev-parse", "newer")
    assert applied.applied_to == applied.checkout.base_commit == newer
    assert applied.notes == ("a note",)
    assert repository.result("rev-parse", f"{applied.commit}^@") == newer
    identity = "--format=%an %ae %at %cn %ce %ct %B"
    assert repository.result("log", "-1", identity, applied.commit) == repository.result("log", "-1", identity, saved)
    assert repository.apply_commit(saved, newer) == applied, "a repetition makes the same commit"


def test_on_its_own_base_the_change_stays_the_same_commit(repository: Repository) -> None:
    saved = repository.commit("change", "echo x > new.txt", MESSAGE, "base")
    assert repository.apply_commit(saved, repository.git("rev-parse", "base")).commit == saved


@pytest.mark.parametrize(
    "later", ["", "echo more > later", "git rm --quiet new.txt", "echo other > new.txt"],
    ids=["nothing", "another-commit", "a-revert", "a-conflict"],
)  # fmt: skip
def test_a_repetition_after_a_delivery_makes_no_second_commit(repository: Repository, later: str) -> None:
    first = repository.apply("echo x > new.txt", "echo y > other")
    tip = repository.commit("newer", later, start=first.commit) if later else first.commit
    second = repository.apply_commit(repository.git("rev-parse", "change"), tip, branch="pushed", start="pushed")
    if later:
        assert (second.commit, second.already_on, second.files) == ("", "pushed", ())
    else:
        assert second == replace(first, checkout=Checkout("pushed", "pushed", first.checkout.base_commit, ""))
    merged = repository.apply_commit(repository.git("rev-parse", "change"), tip, branch="new", start="main")
    assert (merged.commit, merged.already_on) == ("", "main"), "the base branch has it, so no new branch is made"


def test_a_branch_that_got_the_same_change_in_another_way_has_it_already(repository: Repository) -> None:
    applied = repository.apply("sed -i 1s/.*/x/ text.txt", "sed -i 1s/.*/x/ text.txt; echo y > other")
    assert (applied.commit, applied.already_on) == ("", "main")


def test_no_attribute_of_the_change_and_no_driver_of_the_machine_decides_a_merge(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, ran = tmp_path / "home", tmp_path / "ran"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[merge "own"]\n\tdriver = touch {ran}\n[core]\n\tattributesFile = {home}/all\n')
    (home / "all").write_text("* merge=own\n")
    monkeypatch.setenv("HOME", str(home))
    for attribute in ("union", "own"):
        edit = f"echo 'text.txt merge={attribute}' >> .gitattributes; sed -i 1s/.*/{{}}/ text.txt"
        with pytest.raises(ChangeConflicts, match=r"'text.txt' \(contents\)"):
            repository.apply(edit.format("x"), edit.format("y"))
    assert not ran.exists()


def test_a_shallow_clone_is_enough(repository: Repository, tmp_path: Path) -> None:
    for number in range(3):
        repository.commit("base", f"echo {number} > history")
    saved = repository.commit("change", "echo x > new.txt", MESSAGE, "base")
    for number in range(3):
        newer = repository.commit("newer", f"echo {number} > later", start="newer" if number else "base")
    source, allowed = f"file://{repository.clean}", ["protocol.file.allow=always"]
    shallow = tmp_path / "shallow.git"
    run_git(["init", "--quiet", "--bare", str(shallow)])
    for depth, branch in ((2, "change"), (1, "newer")):
        arguments = ["fetch", "--quiet", f"--depth={depth}", source, f"refs/heads/{branch}:refs/heads/{branch}"]
        run_git(arguments, config=allowed, git_dir=shallow)
    assert run_git(["rev-list", "--count", "newer"], git_dir=shallow).text == "1"
    applied = apply_change(shallow, repository.change(saved), Checkout("new", "main", newer, ""))
    listing = run_git(["ls-tree", "--name-only", applied.commit, "new.txt", "later"], git_dir=shallow)
    assert listing.text == "later\nnew.txt"


def test_a_git_that_is_too_old_is_named(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    git = subprocess.run(["sh", "-c", "command -v git"], check=True, capture_output=True, text=True).stdout.strip()
    # Before 2.38, `git merge-tree` knew no options, and answered an unknown one with its usage.
    old.write_text(
        f'#!/bin/sh\ncase "$*" in *merge-tree*) echo "usage: git merge-tree <base-tree> <branch1> <branch2>" >&2; '
        f'exit 129;; esac\nexec {git} "$@"\n'
    )
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    with pytest.raises(GitTooOld, match=r"needs git 2\.38 or newer, and this machine has git version 2"):
        repository.apply("echo x > new.txt", "echo y > other")

"""A commit that merges the base branch is checked for what is its own, and not for what the base branch has."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.checks.table import check_change
from flows.errors import CiFilesChanged, SecretInChange
from flows.parameters.change_policy import ChangePolicy
from flows.repository.base_branch import start_of_work
from flows.repository.clone import Checkout
from flows.repository.collect import Change, bundle, collected_change, restore_change
from flows.repository.git_commands import run_git
from flows.verification.changed_checks import changed_checks
from tests.support.commits import commit_of, git

KEY = "ghp_" + "a1B2" * 9
CI = ".github/workflows/ci.yml"


def merge_with(folder: Path, **files: str) -> tuple[Path, Change]:
    """Return a repository with a merge of `main`, which has changed the CI, and the change that the merge is."""
    commit_of(folder, {"a": "a\n", "b": "b\n"})
    git(folder, "branch", "-M", "main")
    git(folder, "switch", "--quiet", "-c", "work")
    write(folder, {"a": "ours\n"})
    base = git(folder, "rev-parse", "HEAD")
    git(folder, "switch", "--quiet", "main")
    write(folder, {CI: "on: push\n", "b": "theirs\n"})
    merged = git(folder, "rev-parse", "HEAD")
    git(folder, "switch", "--quiet", "work")
    git(folder, "merge", "--quiet", "--no-commit", "main")
    write(folder, {name.replace("__", "/"): content for name, content in files.items()} or {"c": "c\n"})
    return folder / ".git", collected_change(folder / ".git", Checkout("work", "work", base, merged_commit=merged))


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=x")


def test_what_the_base_branch_has_is_not_refused_and_not_named(tmp_path: Path) -> None:
    git_dir, change = merge_with(tmp_path, a="both\n")
    check_change(git_dir, change, ChangePolicy())
    assert [file.path for file in change.files] == ["a"]


def test_a_secret_that_the_base_branch_has_is_not_the_agents(tmp_path: Path) -> None:
    git_dir, change = merge_with(tmp_path, a=f"both\n{KEY}\n")
    with pytest.raises(SecretInChange):
        check_change(git_dir, change, ChangePolicy())
    git(tmp_path, "switch", "--quiet", "--detach", change.checkout.merged_commit)
    write(tmp_path, {"b": f"theirs\n{KEY}\n"})
    merged = git(tmp_path, "rev-parse", "HEAD")
    check_change(git_dir, replace(change, checkout=replace(change.checkout, merged_commit=merged)), ChangePolicy())


def test_what_the_agent_adds_to_the_merge_is_refused(tmp_path: Path) -> None:
    git_dir, change = merge_with(tmp_path, **{".github__workflows__ci.yml": "on: [push, pull_request_target]\n"})
    with pytest.raises(CiFilesChanged):
        check_change(git_dir, change, ChangePolicy())


def test_the_saved_change_has_the_merge_alone_and_is_restored(tmp_path: Path) -> None:
    git_dir, change = merge_with(tmp_path, a="both\n")
    content = bundle(git_dir, change)
    clean = tmp_path / "clean.git"
    run_git(["init", "--quiet", "--bare", str(clean)])
    for commit in (change.checkout.base_commit, change.checkout.merged_commit):
        git(clean, "fetch", "--quiet", str(git_dir), commit)
    git(clean, "update-ref", "refs/heads/work", change.checkout.base_commit)
    assert restore_change(clean, change.checkout, content) == change
    parents = git(clean, "log", "-1", "--format=%P", change.commit).split()
    assert parents == [change.checkout.base_commit, change.checkout.merged_commit]


def test_what_the_agent_takes_back_of_the_base_branch_is_its_own_work(tmp_path: Path) -> None:
    git_dir, change = merge_with(tmp_path)
    git(tmp_path, "rm", "--quiet", CI)
    git(tmp_path, "commit", "--quiet", "--amend", "--no-edit")
    taken_back = collected_change(git_dir, change.checkout)
    with pytest.raises(CiFilesChanged):
        check_change(git_dir, taken_back, ChangePolicy())
    assert [file.path for file in taken_back.files] == [CI, "c"]
    assert changed_checks(git_dir, start_of_work(git_dir, *commits(change)), change.commit, ["make test"]) == ()
    lines = changed_checks(git_dir, start_of_work(git_dir, *commits(change)), taken_back.commit, ["make test"])
    assert lines == (f"{CI}: removed",)


def commits(change: Change) -> tuple[str, str]:
    return change.checkout.base_commit, change.checkout.merged_commit

"""Work outside the work tree: found in every place where git can hold it, delivered if it is clear, saved otherwise."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.repository.clone import Checkout
from flows.repository.collect import Change, CommitIdentity, bundle, collect
from flows.repository.git_commands import run_git
from flows.repository.work_tree import create_work_tree
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

IDENTITY = CommitIdentity("bot@example.com", datetime(2026, 11, 23, 12, tzinfo=UTC), "Implement\n")
SEED = """
git init -q --initial-branch=main . && echo 1 > README.md && printf 'build/\\n*.log\\n' > .gitignore
git add . && git commit -qm 1 && echo 2 > README.md && git commit -qam 2
"""
NAMES = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    folder = tmp_path / "seed"
    folder.mkdir()
    subprocess.run(["sh", "-ec", SEED], cwd=folder, check=True, env={"PATH": os.environ["PATH"], **NAMES})
    return folder


@pytest.fixture
def directories(seed: Path) -> Iterator[Workspace]:
    with workspace() as directories:
        run_git(["init", "--quiet", "--bare", "--template=", str(directories.clean_git)])
        fetch = ["fetch", "--quiet", str(seed), "+main:refs/heads/main", "+main:refs/heads/new"]
        config = ["protocol.file.allow=always", "fetch.unpackLimit=1"]
        run_git(fetch, config=config, git_dir=directories.clean_git)
        create_work_tree(directories, "https://example.com/r.git", "new", base(directories))
        yield directories


def base(directories: Workspace) -> str:
    return run_git(["rev-parse", "refs/heads/main"], git_dir=directories.clean_git).text


def collected_after(directories: Workspace, script: str) -> Change:
    """Run a script as the agent in its work tree, and collect what it left."""
    line = ["sh", "-c", f"cd {directories.work_tree} && {script}"]
    result = commands.run(directories, line, environment=NAMES, beside_agent=True)
    commands.check(result, "act as the agent")
    return collect(directories, Checkout("new", "main", base(directories), ""), IDENTITY)


def content(directories: Workspace, commit: str, path: str) -> str:
    return run_git(["show", f"{commit}:{path}"], git_dir=directories.clean_git).text


def fetched_files(seed: Path, saved: bytes, branch: str) -> set[str]:
    """Fetch a branch of a saved bundle into another clone, as the message advises; return the files that differ."""
    (seed / "saved.bundle").write_bytes(saved)
    subprocess.run(["git", "-C", str(seed), "fetch", "-q", "saved.bundle", branch], check=True)
    listing = ["git", "-C", str(seed), "diff", "--name-only", "main", "FETCH_HEAD"]
    return set(subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split())


COMMIT = "echo w > w.txt && git add w.txt && git commit -qm w"


@pytest.mark.parametrize(
    ("script", "place"),
    [
        (f"git checkout -q -b mine && {COMMIT} && git checkout -q -", "the branch mine"),
        (f"git checkout -q --detach && {COMMIT} && git checkout -q new", "a commit that no branch has"),
        ("echo w > w.txt && git add w.txt && git stash -q", "the stash entry 0"),
        (f"git worktree add -q -b side ../side && cd ../side && {COMMIT}", "the branch side"),
        ("git worktree add -q ../side && echo w > ../side/w.txt", "the work tree "),
        (
            f"git checkout -q --orphan none 2>/dev/null; git checkout -q -b mine new; {COMMIT}; git checkout -q new",
            "the branch mine",
        ),
        (f"{COMMIT} && git tag keep && git reset -q --hard HEAD~1", "the tag keep"),
        (f"{COMMIT} && git checkout -q HEAD~1", "the branch new"),
        (f"git checkout -q -b a && {COMMIT} && git checkout -q -b b && git checkout -q new", "the branch "),
    ],
    ids=[
        "branch",
        "detached",
        "stash",
        "work-tree-branch",
        "work-tree-files",
        "orphan",
        "tag",
        "looking-back",
        "twice",
    ],
)
def test_work_in_one_other_place_is_the_change_if_nothing_else_changed(
    directories: Workspace, script: str, place: str
) -> None:
    change = collected_after(directories, script)
    assert [file.path for file in change.files] == ["w.txt"]
    assert content(directories, change.commit, "w.txt") == "w"
    assert any(place in note for note in change.notes), change.notes
    assert not change.left_aside


@pytest.mark.parametrize(
    ("script", "places"),
    [
        (
            f"git checkout -q -b one && {COMMIT} && git checkout -q -b two new && echo v > v.txt && git add v.txt && "
            "git commit -qm v && git checkout -q new",
            {"the branch one", "the branch two"},
        ),
        (
            "echo w > w.txt && git add w.txt && git stash -q && echo v > v.txt && git add v.txt && git stash -q",
            {"the stash entry 0", "the stash entry 1"},
        ),
        (f"git checkout -q --orphan other && git rm -rqf . && {COMMIT} && git checkout -q new", {"the branch other"}),
    ],
    ids=["two-branches", "two-stashes", "unrelated-history"],
)
def test_work_in_several_places_is_left_aside_and_saved(
    directories: Workspace, seed: Path, script: str, places: set[str]
) -> None:
    change = collected_after(directories, script)
    assert change.is_left_aside
    assert {work.place for work in change.left_aside} == places
    saved = bundle(directories.clean_git, change)
    for work in change.left_aside:
        assert fetched_files(seed, saved, work.branch) & {"w.txt", "v.txt"}, work


@pytest.mark.parametrize(
    "script",
    [
        "git checkout -q --orphan fresh && echo w > w.txt",
        f"git checkout -q --orphan fresh && {COMMIT}",
        "git symbolic-ref HEAD refs/heads/none && echo w > w.txt",
        "git checkout -q --orphan other && git commit -qm other && git branch -qD main; echo w > w.txt; "
        "echo ref: refs/heads/none > .git/HEAD",
        f"git checkout -q --orphan other && {COMMIT} && git rev-parse HEAD > .git/shallow && git replace -f HEAD HEAD",
    ],
    ids=["orphan", "orphan-with-commit", "no-such-branch", "commit-and-no-such-branch", "shallow"],
)
def test_files_on_a_branch_without_the_history_are_a_change_of_the_base(directories: Workspace, script: str) -> None:
    change = collected_after(directories, script)
    assert [file.path for file in change.files] == ["w.txt"]
    assert not change.is_left_aside


def test_work_elsewhere_is_saved_and_named_beside_a_change(directories: Workspace, seed: Path) -> None:
    change = collected_after(
        directories, f"git checkout -q -b mine && {COMMIT} && git checkout -q new && echo c > c.txt"
    )
    assert [file.path for file in change.files] == ["c.txt"]
    [work] = change.left_aside
    assert work.place == "the branch mine"
    assert not change.is_left_aside
    assert fetched_files(seed, bundle(directories.clean_git, change), work.branch) == {"w.txt"}


@pytest.mark.parametrize(
    "script",
    [
        "git checkout -q HEAD~1",
        "git checkout -q -b old HEAD~1",
        "git checkout -q HEAD~1; git checkout -q -",
        "git switch -q --detach HEAD~1",
        "git branch keep; git tag v1",
        f"{COMMIT} && git reset -q --hard HEAD~1",
        f"{COMMIT} && git revert --no-edit HEAD >/dev/null",
        "echo x >> README.md && git stash -q && git stash drop -q",
        "git worktree add -q ../side",
    ],
    ids=["back", "old-branch", "back-and-forth", "switch", "names", "discarded", "reverted", "dropped", "work-tree"],
)
def test_looking_around_is_no_change(directories: Workspace, script: str) -> None:
    change = collected_after(directories, script)
    assert (change.commit, change.left_aside, change.fault) == ("", (), "")


def test_an_older_file_that_was_checked_out_on_purpose_is_a_change(directories: Workspace) -> None:
    change = collected_after(directories, "git checkout -q HEAD~1 -- README.md")
    assert content(directories, change.commit, "README.md") == "1"


@pytest.mark.parametrize("script", ["echo 1 > README.md", "printf '0\\n' > README.md", "echo 3 > x; mv x README.md"])
def test_a_change_of_the_same_size_in_the_second_of_the_checkout_is_seen(directories: Workspace, script: str) -> None:
    assert [file.path for file in collected_after(directories, script).files] == ["README.md"]


def test_intermediate_commits_are_not_left_aside(directories: Workspace) -> None:
    change = collected_after(directories, f"{COMMIT}; echo x > x.txt; git add .; git commit -qm x; echo y > x.txt")
    assert not change.left_aside
    assert content(directories, change.commit, "x.txt") == "y"


@pytest.mark.parametrize(
    ("script", "paths"),
    [
        ("mkdir build && echo r > build/report.md", ("build/report.md",)),
        ("echo r > result.log", ("result.log",)),
        ("mkdir -p build/a && echo r > build/a/1 && echo s > build/2", ("build/2", "build/a/1")),
        ("mkdir build && echo r > 'build/a b.md'", ("build/a b.md",)),
    ],
    ids=["folder", "file", "deep", "space"],
)
def test_new_files_that_the_repository_ignores_are_named_and_saved(
    directories: Workspace, seed: Path, script: str, paths: tuple[str, ...]
) -> None:
    change = collected_after(directories, script)
    [work] = change.left_aside
    assert (change.commit, work.is_ignored, work.paths) == ("", True, paths)
    assert not change.is_left_aside
    if " " not in paths[0]:
        assert fetched_files(seed, bundle(directories.clean_git, change), work.branch) == set(paths)


@pytest.mark.parametrize(
    "script",
    [
        "mkdir -p build/__pycache__ && echo x > build/__pycache__/a.pyc",
        "mkdir -p build && echo 'Signature: 8a477f597d28d172789f06886806bc55' > build/CACHEDIR.TAG && echo x > build/y",
        "echo '.venv/' >> .git/info/exclude 2>/dev/null; mkdir .venv && echo x > .venv/x",
    ],
    ids=["pycache", "cachedir", "venv"],
)
def test_caches_of_tools_are_no_result(directories: Workspace, script: str) -> None:
    change = collected_after(directories, script)
    assert (change.commit, change.left_aside) == ("", ())


def test_many_ignored_files_are_named_and_not_saved(directories: Workspace) -> None:
    change = collected_after(directories, "mkdir build && for n in $(seq 300); do echo $n > build/$n; done")
    [work] = change.left_aside
    assert len(work.paths) == 200
    assert work.ref == ""
    assert bundle(directories.clean_git, change) == b""


@pytest.mark.parametrize("folder", ["node_modules", ".venv", "packages/app/node_modules", ".gradle"])
def test_a_folder_that_tools_fill_is_left_out_with_a_note(directories: Workspace, folder: str) -> None:
    change = collected_after(directories, f"mkdir -p {folder} && echo x > {folder}/x && echo w > w.txt")
    assert [file.path for file in change.files] == ["w.txt"]
    assert any(folder in note and "left out" in note for note in change.notes), change.notes


def test_an_environment_of_any_name_is_left_out(directories: Workspace) -> None:
    script = "mkdir -p my-env/bin && echo home = /usr > my-env/pyvenv.cfg && ln -s /usr/bin/python3 my-env/bin/python"
    change = collected_after(directories, f"{script} && echo w > w.txt")
    assert [file.path for file in change.files] == ["w.txt"]
    assert any("my-env" in note for note in change.notes), change.notes


def test_a_mode_that_the_agent_committed_counts(directories: Workspace) -> None:
    script = "echo '#!/bin/sh' > run.sh && git add run.sh && git update-index --chmod=+x run.sh && git commit -qm run"
    change = collected_after(directories, script)
    listing = run_git(["ls-tree", change.commit, "run.sh"], git_dir=directories.clean_git).text
    assert listing.startswith("100755")


@pytest.mark.parametrize(
    ("attributes", "files"),
    [
        ("*.txt text", {"a.txt": "a\\r\\n"}),
        ("*.md eol=lf", {"b.md": "b\\r\\n"}),
        ("* text=auto", {"c.c": "c\\r\\nd\\r\\n"}),
        ("*.id ident", {"d.id": "$Id: 0123456789012345678901234567890123456789 $\\n"}),
    ],
)
def test_files_that_nobody_touched_are_no_change(tmp_path: Path, attributes: str, files: dict[str, str]) -> None:
    seed = tmp_path / "odd"
    seed.mkdir()
    write = "; ".join(f"printf '{text}' > {path}" for path, text in files.items())
    script = f"git init -q -b main .; {write}; git add .; git commit -qm 1; echo '{attributes}' > .gitattributes; "
    script += "git add .gitattributes; git commit -qm 2"
    subprocess.run(["sh", "-ec", script], cwd=seed, check=True, env={"PATH": os.environ["PATH"], **NAMES})
    with workspace() as directories:
        run_git(["init", "--quiet", "--bare", "--template=", str(directories.clean_git)])
        fetch = ["fetch", "--quiet", str(seed), "+main:refs/heads/main", "+main:refs/heads/new"]
        run_git(fetch, config=["protocol.file.allow=always"], git_dir=directories.clean_git)
        create_work_tree(directories, "https://example.com/r.git", "new", base(directories))
        unchanged, changed = (collected_after(directories, script) for script in ("true", "echo w > w.dat"))
        assert (unchanged.commit, unchanged.fault, changed.fault) == ("", "", "")
        assert [file.path for file in changed.files] == ["w.dat"]

"""Collecting the agent's work: only objects cross over, and the commit made from them is the same every time."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.parameters.addresses import RepoUrl
from flows.repository import snapshot
from flows.repository.agent_git import git_as_agent
from flows.repository.base_branch import commit_of_tree, start_of_work
from flows.repository.clone import Checkout, clone
from flows.repository.collect import Change, CommitIdentity, bundle, collect, patch
from flows.repository.collection import create_repository
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import run_git
from flows.repository.remote import Remote
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

IDENTITY = CommitIdentity(
    "bot@example.com", datetime(2026, 11, 23, 12, tzinfo=UTC), "Implement\n\nPrefect-Flow-Run: x\n"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitRemote]:
    seed = tmp_path / "seed"
    (seed / "dir").mkdir(parents=True)
    (tmp_path / "served").mkdir()
    (seed / "a.txt").write_text("a\n")
    (seed / "dir" / "b.txt").write_text("b\n")
    (seed / ".gitignore").write_text("*.log\n")
    with GitRemote(tmp_path / "served", "token") as git_remote:
        git_remote.create("r", seed)
        yield git_remote


@pytest.fixture
def run(server: GitRemote) -> Iterator[tuple[Workspace, Checkout]]:
    with workspace() as directories:
        yield directories, checked_out(directories, server)


def checked_out(directories: Workspace, server: GitRemote) -> Checkout:
    remote = Remote(
        RepoUrl.parse(f"{server.url}/r.git"),
        GitCredentials(SecretStr("token"), "bot@example.com", "u"),
        directories.trusted,
    )
    return clone(
        directories,
        remote,
        branch="new",
        base_branch="",
        depth=50,
        allow_default_branch=False,
        progress=RemoteProgress(),
    )


def as_agent(directories: Workspace, script: str) -> None:
    environment = {"PATH": os.environ["PATH"], **directories.agent_variables, "PWD": str(directories.work_tree)}
    line = ["sh", "-c", f"cd {directories.work_tree} && {script}"]
    commands.check(commands.run(directories, line, environment=environment, beside_agent=True), "act as the agent")


def files(change: Change) -> dict[str, tuple[int | None, int | None]]:
    return {file.path: (file.added, file.removed) for file in change.files}


def test_the_agent_cannot_enter_a_temporary_repository_before_it_owns_all_of_it(
    run: tuple[Workspace, Checkout], monkeypatch: pytest.MonkeyPatch
) -> None:
    directories, chown, modes = run[0], os.chown, set[int]()

    def record(path: str, *owner: int, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        modes.add((directories.root / "t.git").stat().st_mode & 0o777)
        chown(path, *owner, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "chown", record)
    create_repository(directories, "t.git")
    assert modes == ({0o700} if directories.agent.uid is not None else set())


def test_the_work_tree_belongs_to_the_agent_and_names_the_public_remote(
    run: tuple[Workspace, Checkout], server: GitRemote
) -> None:
    directories, checkout = run
    owner = directories.work_tree.stat().st_uid
    assert owner == (directories.agent.uid if directories.agent.uid is not None else os.geteuid())
    assert git_as_agent(directories, "remote", "get-url", "origin").text == f"{server.url}/r.git"
    assert git_as_agent(directories, "branch", "--show-current").text == "new"
    assert git_as_agent(directories, "status", "--porcelain").text == ""
    assert checkout.base_branch == "main"


def test_changes_of_every_kind_are_collected(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(
        directories,
        "echo 2 >> a.txt; rm dir/b.txt; mkdir new; echo n > new/n.txt; printf 'a\\0b' > bin; echo x > x.log",
    )
    change = collect(directories, checkout, IDENTITY)
    assert files(change) == {"a.txt": (1, 0), "dir/b.txt": (0, 1), "new/n.txt": (1, 0), "bin": (None, None)}
    assert "+2" in patch(directories.clean_git, change)


def test_there_is_no_commit_if_nothing_changed(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(directories, "touch a.txt; echo x > x.log")
    change = collect(directories, checkout, IDENTITY)
    assert change.commit == ""
    assert patch(directories.clean_git, change) == ""


def test_the_same_work_makes_the_same_commit(run: tuple[Workspace, Checkout], server: GitRemote) -> None:
    directories, checkout = run
    as_agent(directories, "echo 2 >> a.txt")
    first = collect(directories, checkout, IDENTITY)
    assert collect(directories, checkout, IDENTITY).commit == first.commit
    with workspace() as other:
        other_checkout = checked_out(other, server)
        as_agent(other, "echo 2 >> a.txt")
        assert collect(other, other_checkout, IDENTITY).commit == first.commit


def test_author_date_and_message_come_from_the_run(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(directories, "git -c user.name=Mallory -c user.email=m@m commit -q --allow-empty -m evil; echo 2 >> a.txt")
    commit = collect(directories, checkout, IDENTITY).commit
    commit_text = run_git(["cat-file", "commit", commit], git_dir=directories.clean_git).text
    assert f"parent {checkout.base_commit}\nauthor bot <bot@example.com> 1795435200 +0000\n" in commit_text
    assert commit_text.endswith("Implement\n\nPrefect-Flow-Run: x")
    assert "Mallory" not in commit_text


def test_a_stale_lock_does_not_lose_the_work(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(directories, "echo 2 >> a.txt; touch .git/index.lock")
    assert files(collect(directories, checkout, IDENTITY)) == {"a.txt": (1, 0)}


def test_an_unfinished_merge_is_collected_as_the_files_are(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(
        directories,
        "git checkout -q -b side; echo s > a.txt; git commit -qam s; git checkout -q new; echo t > a.txt; "
        "git commit -qam t; git merge side >/dev/null 2>&1 || true; echo both > a.txt",
    )
    assert files(collect(directories, checkout, IDENTITY)) == {"a.txt": (1, 1)}


def test_a_daemon_of_the_agent_is_ended_before_the_work_is_collected(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(
        directories, "(setsid sh -c 'while :; do date +%N > beat.txt; sleep .01; done' >/dev/null 2>&1 &) ; sleep .2"
    )
    assert directories.agent.processes()
    change = collect(directories, checkout, IDENTITY)
    assert "beat.txt" in files(change)
    assert directories.agent.processes() == []


@pytest.mark.parametrize(
    "plant",
    [
        "rm -rf .git",
        "rm -rf .git; ln -s / .git",
        "rm -rf .git; echo 'gitdir: /nonexistent' > .git",
        "rm -rf .git/objects; mkdir .git/objects",
        "echo garbage > .git/HEAD",
    ],
)
def test_a_broken_repository_does_not_lose_the_work(run: tuple[Workspace, Checkout], plant: str) -> None:
    directories, checkout = run
    as_agent(directories, f"echo 2 >> a.txt; {plant}")
    change = collect(directories, checkout, IDENTITY)
    assert change.fault
    # The work has been paid for, so its files are collected in another way, for a person to look at.
    assert files(change) == {"a.txt": (1, 0)}
    assert bundle(directories.clean_git, change)


def test_an_attribute_that_git_cannot_apply_does_not_lose_the_other_files(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(directories, "echo 2 >> a.txt; echo 'u.txt working-tree-encoding=UTF-16' > .gitattributes; echo u > u.txt")
    change = collect(directories, checkout, IDENTITY)
    assert "UTF-16" in change.fault
    assert files(change) == {"a.txt": (1, 0), "u.txt": (1, 0), ".gitattributes": (1, 0)}


def test_a_process_that_a_filter_leaves_behind_does_not_delay_the_run(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    as_agent(directories, "git config filter.x.clean 'setsid sleep 600 >/dev/null & cat'; mkdir -p .git/info")
    as_agent(directories, "echo '* filter=x' > .git/info/attributes; echo 2 >> a.txt")
    started = time.monotonic()
    assert files(collect(directories, checkout, IDENTITY)) == {"a.txt": (1, 0)}
    assert time.monotonic() - started < 60
    assert directories.agent.processes() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="without root the agent runs as the same user")
@pytest.mark.parametrize(
    "plant",
    [
        'git config core.fsmonitor "$M"',
        "git config core.hooksPath $H; git config core.fsmonitor $H/any",
        'git config filter.x.clean "$M; cat"; echo "* filter=x" > .gitattributes',
        'git config filter.x.process "$M"; echo "* filter=x" > .gitattributes',
        "git config gpg.program $H/any; git config commit.gpgsign true",
        "git config uploadpack.packObjectsHook $H/any",
        "git config core.sshCommand $H/any; git config remote.origin.uploadpack $H/any",
        "git config include.path $H/config",
        "git config core.alternateRefsCommand $H/any; git config core.gitProxy $H/any",
        "git config url.file:///tmp/.insteadOf http; git config remote.origin.receivepack $H/any",
        "git init -q nested; git -C nested config core.fsmonitor $H/any; touch nested/f",
        "git config diff.external $H/any; git config diff.x.textconv $H/any; echo '* diff=x' > .gitattributes",
    ],
)
def test_programs_that_the_repository_configures_never_run_as_the_trusted_user(
    run: tuple[Workspace, Checkout], plant: str
) -> None:
    directories, checkout = run
    hooks, ran = directories.tmp / "hooks", directories.tmp / "ran"
    names = "any pre-commit post-commit commit-msg reference-transaction post-index-change pre-push post-checkout"
    as_agent(
        directories,
        f"M='id -u >> {ran}'; H={hooks}; mkdir $H; for h in {names}; do printf '#!/bin/sh\\n%s\\n' \"$M\" > $H/$h; "
        f"chmod 755 $H/$h; cp $H/$h .git/hooks/ 2>/dev/null || (mkdir -p .git/hooks && cp $H/$h .git/hooks/); done; "
        f"printf '[core]\\n fsmonitor = %s/any\\n' $H > $H/config; {plant}; echo 2 >> a.txt; git add a.txt || :",
    )
    change = collect(directories, checkout, IDENTITY)
    patch(directories.clean_git, change)
    bundle(directories.clean_git, change)
    users = set(ran.read_text().split()) if ran.exists() else set()
    assert str(os.geteuid()) not in users
    # The agent's own git ran the filter. Without this, plants that never work would pass the test as well.
    assert users or "filter" not in plant


def test_another_clone_can_fetch_the_change_from_the_bundle(run: tuple[Workspace, Checkout], server: GitRemote) -> None:
    directories, checkout = run
    as_agent(directories, "echo 2 >> a.txt")
    change = collect(directories, checkout, IDENTITY)
    file = server.root / "change.bundle"
    file.write_bytes(bundle(directories.clean_git, change))
    server.git("r", "fetch", "--quiet", str(file), "new:saved")
    assert server.git("r", "rev-parse", "saved") == change.commit


def test_submodules_and_large_file_pointers_stay_as_they_are(server: GitRemote) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    seed = server.root.parent / "seed"
    (seed / "model.bin").write_text(pointer)
    (seed / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (seed / ".gitmodules").write_text('[submodule "lib"]\n\tpath = lib\n\turl = https://example.com/lib.git\n')
    url = server.create("lfs", seed)
    base = server.git("lfs", "rev-parse", "main")
    server.git("lfs", "update-index", "--add", "--cacheinfo", f"160000,{base},lib")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    with_link = server.git("lfs", *identity, "commit-tree", server.git("lfs", "write-tree"), "-p", base, "-m", "lib")
    server.git("lfs", "update-ref", "refs/heads/main", with_link)
    with workspace() as directories:
        remote = Remote(
            RepoUrl.parse(url), GitCredentials(SecretStr("token"), "bot@example.com", "u"), directories.trusted
        )
        checkout = clone(
            directories,
            remote,
            branch="new",
            base_branch="",
            depth=1,
            allow_default_branch=False,
            progress=RemoteProgress(),
        )
        assert (directories.work_tree / "model.bin").read_text() == pointer
        assert list((directories.work_tree / "lib").iterdir()) == []
        as_agent(directories, "echo 2 >> a.txt")
        assert files(collect(directories, checkout, IDENTITY)) == {"a.txt": (1, 0)}


SUBMODULE = "160000 commit " + "5" * 40


def merged_with(directories: Workspace, checkout: Checkout, **files: str) -> Checkout:
    """Return the checkout with a commit to merge that has these files, and put the merge into the work tree."""
    clean, base = directories.clean_git, checkout.base_commit
    parent = commit_of_tree(clean, f"{base}^{{tree}}", base)
    rows = dict(row.split("\t")[::-1] for row in run_git(["ls-tree", base], git_dir=clean).text.split("\n"))
    for name, content in files.items():
        path = directories.trusted / "content"
        path.write_text(content)
        blob = run_git(["hash-object", "-w", str(path)], git_dir=clean).text
        rows[name] = content if content == SUBMODULE else f"100644 blob {blob}"
    with (directories.trusted / "tree").open("w+b") as file:
        file.write("".join(f"{entry}\t{name}\n" for name, entry in rows.items()).encode())
        file.seek(0)
        tree = run_git(["mktree", "--missing"], git_dir=clean, stdin=file).text
    merged = replace(checkout, merged_commit=commit_of_tree(clean, tree, parent))
    tree = start_of_work(clean, base, merged.merged_commit)
    snapshot.restore_commit(directories, commit_of_tree(clean, tree, base), base)
    return merged


@pytest.mark.parametrize("agent", ["true", "echo mine > b.txt", "git checkout --quiet HEAD -- a.txt", "rm forced.log"])
def test_a_merge_has_what_the_agent_cannot_commit(run: tuple[Workspace, Checkout], agent: str) -> None:
    """Else the merge would take back ignored files, files of `leave_out` and submodules of the merged branch."""
    directories, checkout = run
    texts = dict.fromkeys(("a.txt", "c.txt", "x.lock", "forced.log"), "theirs\n")
    checkout = merged_with(directories, checkout, **texts, module=SUBMODULE)
    as_agent(directories, agent)
    change = collect(directories, checkout, IDENTITY, ["*.lock"])
    listing = run_git(["ls-tree", "--name-only", change.commit], git_dir=directories.clean_git).text.split("\n")
    assert {"x.lock", "forced.log", "module"} <= set(listing)
    expected = {"echo mine > b.txt": ["b.txt"], "git checkout --quiet HEAD -- a.txt": ["a.txt"]}.get(agent, [])
    assert [file.path for file in change.files] == expected


def test_what_the_agent_deletes_of_a_merge_stays_deleted(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    checkout = merged_with(directories, checkout, **{"a.txt": "theirs\n", "new.txt": "x\n"})
    as_agent(directories, "rm new.txt")
    change = collect(directories, checkout, IDENTITY)
    assert [file.path for file in change.files] == ["new.txt"]


def test_a_merge_that_changes_nothing_is_a_commit_with_both_parents(run: tuple[Workspace, Checkout]) -> None:
    """Else each follow-up would be asked to merge the same commits again."""
    directories, checkout = run
    checkout = merged_with(directories, checkout)
    change = collect(directories, checkout, IDENTITY)
    parents = run_git(["log", "-1", "--format=%P", change.commit], git_dir=directories.clean_git).text
    assert parents.split() == [checkout.base_commit, checkout.merged_commit]
    assert (change.files, change.notes) == ((), ())


def test_a_merge_that_the_agent_has_undone_is_no_merge(run: tuple[Workspace, Checkout]) -> None:
    directories, checkout = run
    checkout = merged_with(directories, checkout, **{"a.txt": "theirs\n"})
    assert collect(directories, checkout, IDENTITY).commit
    as_agent(directories, "git checkout --quiet HEAD -- . ")
    change = collect(directories, checkout, IDENTITY)
    assert change.commit == ""
    assert change.notes == (f"the agent has undone the merge of {checkout.merged_commit[:12]}, so nothing is merged",)

"""Taking the agent's work: what comes across is objects, and the commit made of them is the same each time."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.parameters.addresses import RepoUrl
from flows.repository.agent_git import git_as_agent
from flows.repository.clone import Checkout, clone
from flows.repository.collect import Change, CommitIdentity, bundle, collect, patch
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
    (seed / "AGENTS.md").write_text("Be brief.\n")
    (seed / "CLAUDE.md").symlink_to("AGENTS.md")
    (seed / ".gitignore").write_text("*.log\n")
    with GitRemote(tmp_path / "served", "token") as made:
        made.create("r", seed)
        yield made


@pytest.fixture
def run(server: GitRemote) -> Iterator[tuple[Workspace, Checkout]]:
    with workspace() as made:
        yield made, checked_out(made, server)


def checked_out(made: Workspace, server: GitRemote) -> Checkout:
    remote = Remote(
        RepoUrl.parse(f"{server.url}/r.git"), GitCredentials(SecretStr("token"), "bot@example.com", "u"), made.trusted
    )
    return clone(
        made, remote, branch="new", base_branch="", depth=50, allow_default_branch=False, progress=RemoteProgress()
    )


def as_agent(made: Workspace, script: str) -> None:
    environment = {"PATH": os.environ["PATH"], **made.agent_mark, "PWD": str(made.work_tree)}
    line = ["sh", "-c", f"cd {made.work_tree} && {script}"]
    commands.check(commands.run(made, line, environment=environment, beside_agent=True), "act as the agent")


def files(change: Change) -> dict[str, tuple[int | None, int | None]]:
    return {file.path: (file.added, file.removed) for file in change.files}


def test_the_work_tree_is_the_agents_and_names_the_public_remote(
    run: tuple[Workspace, Checkout], server: GitRemote
) -> None:
    made, checkout = run
    owner = made.work_tree.stat().st_uid
    assert owner == (made.agent.uid if made.agent.uid is not None else os.geteuid())
    assert git_as_agent(made, "remote", "get-url", "origin").text == f"{server.url}/r.git"
    assert git_as_agent(made, "branch", "--show-current").text == "new"
    assert git_as_agent(made, "status", "--porcelain").text == ""
    assert checkout.base_branch == "main"


def test_claude_md_may_be_a_link_to_agents_md(run: tuple[Workspace, Checkout]) -> None:
    assert run[1].project_memory == "Be brief.\n"


def test_changes_of_every_kind_are_taken(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(made, "echo 2 >> a.txt; rm dir/b.txt; mkdir new; echo n > new/n.txt; printf 'a\\0b' > bin; echo x > x.log")
    change = collect(made, checkout, IDENTITY)
    assert files(change) == {"a.txt": (1, 0), "dir/b.txt": (0, 1), "new/n.txt": (1, 0), "bin": (None, None)}
    assert "+2" in patch(made.clean_git, change)


def test_nothing_changed_is_no_commit(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(made, "touch a.txt; echo x > x.log")
    change = collect(made, checkout, IDENTITY)
    assert change.commit == ""
    assert patch(made.clean_git, change) == ""


def test_the_same_work_makes_the_same_commit(run: tuple[Workspace, Checkout], server: GitRemote) -> None:
    made, checkout = run
    as_agent(made, "echo 2 >> a.txt")
    first = collect(made, checkout, IDENTITY)
    assert collect(made, checkout, IDENTITY).commit == first.commit
    with workspace() as other:
        again = checked_out(other, server)
        as_agent(other, "echo 2 >> a.txt")
        assert collect(other, again, IDENTITY).commit == first.commit


def test_author_date_and_message_are_ours(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(made, "git -c user.name=Mallory -c user.email=m@m commit -q --allow-empty -m evil; echo 2 >> a.txt")
    commit = collect(made, checkout, IDENTITY).commit
    shown = run_git(["cat-file", "commit", commit], git_dir=made.clean_git).text
    assert f"parent {checkout.base_commit}\nauthor bot <bot@example.com> 1795435200 +0000\n" in shown
    assert shown.endswith("Implement\n\nPrefect-Flow-Run: x")
    assert "Mallory" not in shown


def test_a_stale_lock_does_not_lose_the_work(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(made, "echo 2 >> a.txt; touch .git/index.lock")
    assert files(collect(made, checkout, IDENTITY)) == {"a.txt": (1, 0)}


def test_a_merge_left_half_done_is_taken_as_the_files_are(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(
        made,
        "git checkout -q -b side; echo s > a.txt; git commit -qam s; git checkout -q new; echo t > a.txt; "
        "git commit -qam t; git merge side >/dev/null 2>&1 || true; echo both > a.txt",
    )
    assert files(collect(made, checkout, IDENTITY)) == {"a.txt": (1, 1)}


def test_a_daemon_of_the_agent_is_ended_before_its_work_is_taken(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(made, "(setsid sh -c 'while :; do date +%N > beat.txt; sleep .01; done' >/dev/null 2>&1 &) ; sleep .2")
    assert made.agent.processes()
    change = collect(made, checkout, IDENTITY)
    assert "beat.txt" in files(change)
    assert made.agent.processes() == []


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
def test_what_was_done_beside_a_repository_that_is_none_is_not_lost(
    run: tuple[Workspace, Checkout], plant: str
) -> None:
    made, checkout = run
    as_agent(made, f"echo 2 >> a.txt; {plant}")
    change = collect(made, checkout, IDENTITY)
    assert change.fault
    # The work is paid for: its files are taken by another way, for a human to look at.
    assert files(change) == {"a.txt": (1, 0)}
    assert bundle(made.clean_git, change)


def test_an_attribute_that_cannot_be_met_does_not_lose_the_other_files(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(made, "echo 2 >> a.txt; echo 'u.txt working-tree-encoding=UTF-16' > .gitattributes; echo u > u.txt")
    change = collect(made, checkout, IDENTITY)
    assert "UTF-16" in change.fault
    assert files(change) == {"a.txt": (1, 0), "u.txt": (1, 0), ".gitattributes": (1, 0)}


def test_what_a_filter_leaves_running_does_not_hold_the_run_up(run: tuple[Workspace, Checkout]) -> None:
    made, checkout = run
    as_agent(made, "git config filter.x.clean 'setsid sleep 600 >/dev/null & cat'; mkdir -p .git/info")
    as_agent(made, "echo '* filter=x' > .git/info/attributes; echo 2 >> a.txt")
    started = time.monotonic()
    assert files(collect(made, checkout, IDENTITY)) == {"a.txt": (1, 0)}
    assert time.monotonic() - started < 60
    assert made.agent.processes() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="without root there is one user only, and nothing to tell apart")
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
def test_what_the_repository_makes_git_run_never_runs_as_the_trusted_user(
    run: tuple[Workspace, Checkout], plant: str
) -> None:
    made, checkout = run
    hooks, ran = made.tmp / "hooks", made.tmp / "ran"
    names = "any pre-commit post-commit commit-msg reference-transaction post-index-change pre-push post-checkout"
    as_agent(
        made,
        f"M='id -u >> {ran}'; H={hooks}; mkdir $H; for h in {names}; do printf '#!/bin/sh\\n%s\\n' \"$M\" > $H/$h; "
        f"chmod 755 $H/$h; cp $H/$h .git/hooks/ 2>/dev/null || (mkdir -p .git/hooks && cp $H/$h .git/hooks/); done; "
        f"printf '[core]\\n fsmonitor = %s/any\\n' $H > $H/config; {plant}; echo 2 >> a.txt",
    )
    change = collect(made, checkout, IDENTITY)
    patch(made.clean_git, change)
    bundle(made.clean_git, change)
    users = set(ran.read_text().split()) if ran.exists() else set()
    assert users <= {str(made.agent.uid)}
    # A filter runs whenever files are added: were it not seen here, the plants would not work at all.
    assert users or "filter" not in plant


def test_the_bundle_brings_the_change_into_another_clone(run: tuple[Workspace, Checkout], server: GitRemote) -> None:
    made, checkout = run
    as_agent(made, "echo 2 >> a.txt")
    change = collect(made, checkout, IDENTITY)
    kept = server.root / "change.bundle"
    kept.write_bytes(bundle(made.clean_git, change))
    server.git("r", "fetch", "--quiet", str(kept), "new:kept")
    assert server.git("r", "rev-parse", "kept") == change.commit


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
    with workspace() as made:
        remote = Remote(RepoUrl.parse(url), GitCredentials(SecretStr("token"), "bot@example.com", "u"), made.trusted)
        checkout = clone(
            made, remote, branch="new", base_branch="", depth=1, allow_default_branch=False, progress=RemoteProgress()
        )
        assert (made.work_tree / "model.bin").read_text() == pointer
        assert list((made.work_tree / "lib").iterdir()) == []
        as_agent(made, "echo 2 >> a.txt")
        assert files(collect(made, checkout, IDENTITY)) == {"a.txt": (1, 0)}

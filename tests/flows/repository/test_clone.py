"""The clone: where the work starts, and which branches and tags the agent's repository has."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from deployments.local.loopback import Exchange, ReceivedRequest
from flows.errors import BaseRefNotFound
from flows.parameters.addresses import RepoUrl
from flows.repository.agent_git import git_as_agent
from flows.repository.clone import Checkout, choose_start_point, clone, fetch_base
from flows.repository.collect import Change, CommitIdentity, collect
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import run_git
from flows.repository.remote import Remote
from flows.repository.remote_refs import RemoteRefs, Tag
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

NAMES = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
IDENTITY = CommitIdentity("bot@example.com", datetime(2026, 11, 27, 12, tzinfo=UTC), "Implement\n")
SEED = """
git init -q --initial-branch=main .
commit() { echo "$1" > "$1.txt"; git add .; git commit -qm "$1"; }
commit 1; git tag v1; git tag -a -m two annotated-v1
commit 2; git tag v2; git tag -a -m two annotated-v2
git checkout -q -b release; commit r; git tag -a -m r release-tag
git checkout -q -b feature/x main; commit x
git checkout -q main; commit 3; git tag same-name; git branch same-name HEAD~1
git tag of-a-tree 'HEAD^{tree}'
commit 4; commit 5
git tag -a -m 'the newest' newest
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitRemote]:
    """A server with the repository `r`. Tests copy the repository before they change it."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("seed", "served"):
        (folder / name).mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **NAMES}
    subprocess.run(["sh", "-ec", SEED], cwd=folder / "seed", check=True, env=environment)
    with GitRemote(folder / "served", "token") as git_remote:
        git_remote.copy("r", str(folder / "seed"))
        yield git_remote


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as made:
        yield made


def remote(directories: Workspace, server: GitRemote, name: str = "r") -> Remote:
    credentials = GitCredentials(SecretStr("token"), "bot@example.com", "u")
    return Remote(RepoUrl.parse(f"{server.url}/{name}.git"), credentials, directories.trusted)


def cloned(
    directories: Workspace,
    server: GitRemote,
    *,
    branch: str = "new",
    base_branch: str = "",
    depth: int = 50,
    name: str = "r",
) -> Checkout:
    return clone(
        directories,
        remote(directories, server, name),
        branch=branch,
        base_branch=base_branch,
        depth=depth,
        allow_default_branch=False,
        progress=RemoteProgress(),
    )


def changed_by(directories: Workspace, checkout: Checkout, script: str) -> Change:
    line = ["sh", "-ec", f"cd {directories.work_tree} && {script}"]
    commands.check(commands.run(directories, line, environment=NAMES, beside_agent=True), "act as the agent")
    return collect(directories, checkout, IDENTITY)


@pytest.mark.parametrize(
    ("branch", "base_branch", "upstream", "branches"),
    [
        ("new", "", "main", {"main", "new"}),
        ("new", "release", "release", {"main", "new", "release"}),
        ("feature/x", "", "feature/x", {"main", "feature/x"}),
        ("feature/x", "release", "feature/x", {"main", "feature/x", "release"}),
    ],
)
def test_the_agent_finds_the_branches_that_a_developer_would_compare_with(
    directories: Workspace, server: GitRemote, branch: str, base_branch: str, upstream: str, branches: set[str]
) -> None:
    cloned(directories, server, branch=branch, base_branch=base_branch)

    def git(*arguments: str) -> str:
        return git_as_agent(directories, *arguments).text

    assert git("status", "--porcelain", "--branch") == f"## {branch}...origin/{upstream}"
    assert set(git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()) == branches
    remotes = {f"origin/{name}" for name in branches - {"new"}} | {"origin/HEAD"}
    assert set(git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/remotes").splitlines()) == remotes
    assert git("symbolic-ref", "refs/remotes/origin/HEAD") == "refs/remotes/origin/main"
    for name in branches - {"new"}:
        assert git("rev-parse", name, f"origin/{name}").split() == [server.git("r", "rev-parse", name)] * 2
    own = {"new": "r.txt" if base_branch else "", "feature/x": "x.txt"}[branch]
    assert git("diff", "--name-only", "origin/main...") == own
    assert git("log", "--format=%s", "main..") == own.removesuffix(".txt")
    assert git("config", "remote.origin.url") == f"{server.url}/r.git"
    git("fsck", "--strict")


@pytest.mark.parametrize(
    "script",
    [
        "true",
        "git checkout -q main",
        "git checkout -q --detach origin/main~2",
        "git checkout -q main; git reset -q --hard HEAD~3",
        "git branch -q mine origin/main; git tag mine main~1",
        "git checkout -q v2; git checkout -q feature/x",
        "git worktree add -q ../side main",
    ],
    ids=["nothing", "main", "older", "reset-main", "names", "tag", "work-tree"],
)
def test_what_the_clone_brought_is_not_the_agents_work(directories: Workspace, server: GitRemote, script: str) -> None:
    checkout = cloned(directories, server, branch="feature/x")
    change = changed_by(directories, checkout, script)
    assert (change.commit, change.left_aside, change.fault) == ("", (), "")


@pytest.mark.parametrize(
    ("script", "files"),
    [
        ("git checkout -q main; echo w > w.txt; git add .; git commit -qm w; git checkout -q feature/x", set()),
        ("git merge -q -m merge main", {"3.txt", "4.txt", "5.txt"}),
    ],
    ids=["commit-on-main", "merge"],
)
def test_what_the_agent_adds_to_the_cloned_branches_is_its_work(
    directories: Workspace, server: GitRemote, script: str, files: set[str]
) -> None:
    checkout = cloned(directories, server, branch="feature/x")
    change = changed_by(directories, checkout, script)
    assert {file.path for file in change.files} == files
    assert [work.place for work in change.left_aside] == ([] if files else ["the branch main"])


COMMIT = "echo w > w.txt; git add .; git commit -qm w"


@pytest.mark.parametrize(
    ("script", "place"),
    [
        (f"git switch -q -c fix origin/main; {COMMIT}", "fix"),
        ("git switch -q main; echo w > w.txt", "main"),
        (f"git switch -q main; {COMMIT}", "main"),
        ("git checkout -q --detach main~3; echo w > w.txt", "commit {commit}"),
    ],
    ids=["new-branch", "edited-main", "commit-on-main", "detached"],
)
def test_work_on_top_of_another_commit_is_left_aside_because_it_would_undo_the_base(
    directories: Workspace, server: GitRemote, script: str, place: str
) -> None:
    checkout = cloned(directories, server, branch="feature/x")
    change = changed_by(directories, checkout, script)
    commit = server.git("r", "rev-parse", "main~3")[:12]
    assert (change.commit, change.fault) == ("", "")
    assert f"the work tree, on top of {place.format(commit=commit)}" in [work.place for work in change.left_aside]
    assert change.is_left_aside


@pytest.mark.parametrize(
    "script",
    [
        f"git checkout -q --orphan alone; {COMMIT}",
        f"git checkout -q -b mine; {COMMIT}",
        f"git checkout -q --detach; {COMMIT}",
    ],
    ids=["orphan", "branch", "detached"],
)
def test_work_with_the_base_or_without_any_history_is_the_change(
    directories: Workspace, server: GitRemote, script: str
) -> None:
    checkout = cloned(directories, server, branch="feature/x")
    change = changed_by(directories, checkout, script)
    assert [file.path for file in change.files] == ["w.txt"]
    assert not change.left_aside


def test_a_history_that_the_agent_fetched_in_part_costs_no_work(directories: Workspace, server: GitRemote) -> None:
    checkout = cloned(directories, server, branch="feature/x")
    other = (
        "git init -q ../other; cd ../other; for n in 1 2 3; do echo $n > n; git add .; git commit -qm $n; done; cd -"
    )
    fetch = "git fetch -q --depth=1 file://$PWD/../other HEAD; git branch compare FETCH_HEAD"
    change = changed_by(directories, checkout, f"{other}; {fetch}; echo w > w.txt")
    assert ([file.path for file in change.files], change.fault) == (["w.txt"], "")
    assert [work.place for work in change.left_aside] == ["the branch compare"]


def test_a_default_branch_with_the_name_of_a_tag_is_used() -> None:
    refs = RemoteRefs({"1.x": "b" * 40}, "1.x", tags={"1.x": Tag("a" * 40)})
    start = choose_start_point(refs, "new", "", allow_default_branch=False)
    assert (start.name, start.is_branch) == ("1.x", True)


def test_tags_of_the_fetched_commits_are_there(directories: Workspace, server: GitRemote) -> None:
    cloned(directories, server, depth=3)
    assert set(git_as_agent(directories, "tag", "--list").text.splitlines()) == {"newest", "same-name", "of-a-tree"}
    assert git_as_agent(directories, "describe").text == "newest"
    assert git_as_agent(directories, "describe", "--tags", "HEAD~2").text == "same-name"


def test_with_the_whole_history_all_tags_are_there(directories: Workspace, server: GitRemote) -> None:
    checkout = cloned(directories, server, depth=0)
    show = ("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", "refs/tags")
    assert git_as_agent(directories, *show).text.strip() == server.git("r", *show).strip()
    assert git_as_agent(directories, "describe", "v2~1").text == "annotated-v1"
    packed = (directories.work_tree / ".git" / "packed-refs").read_text()
    repack = ("-c", "core.packedRefsTimeout=0", "pack-refs", "--all")
    git_as_agent(directories, *repack)
    assert (directories.work_tree / ".git" / "packed-refs").read_text() == packed
    assert not changed_by(directories, checkout, "git tag -d v1; git tag mine v2").left_aside


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("name", ["v1", "annotated-v1", "release-tag", "{commit}"])
def test_the_work_may_start_from_a_tag_or_a_commit(
    directories: Workspace, server: GitRemote, name: str, depth: int
) -> None:
    name = name.format(commit=server.git("r", "rev-parse", "main~3"))
    checkout = cloned(directories, server, base_branch=name, depth=depth)
    assert checkout.base_commit == server.git("r", "rev-parse", f"{name}^{{commit}}")
    assert checkout.base_branch == name
    assert not checkout.continues
    assert git_as_agent(directories, "status", "--porcelain", "--branch").text == "## new"
    assert git_as_agent(directories, "rev-parse", "HEAD").text == checkout.base_commit
    assert git_as_agent(directories, "rev-parse", "origin/main").text == server.git("r", "rev-parse", "main")
    assert not changed_by(directories, checkout, "git checkout -q main").commit


def test_a_new_branch_may_have_the_name_of_the_tag_that_it_starts_from(
    directories: Workspace, server: GitRemote
) -> None:
    checkout = cloned(directories, server, branch="v1", base_branch="v1")
    assert not checkout.continues
    assert [file.path for file in changed_by(directories, checkout, "echo w > w.txt").files] == ["w.txt"]


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("1" * 40, "check the id, or set base_branch to a branch or a tag"),
        ("abcdef1", "a commit needs its full id of 40 digits"),
        ("of-a-tree", "is not a commit"),
        ("same-name", "the name of both a branch and a tag"),
        ("none", "is not a branch or a tag on the remote; the remote has feature/x, main, release"),
    ],
)
def test_a_base_that_cannot_be_fetched_raises_a_named_error(
    directories: Workspace, server: GitRemote, name: str, words: str, depth: int
) -> None:
    with pytest.raises(BaseRefNotFound) as raised:
        cloned(directories, server, base_branch=name, depth=depth)
    assert words in str(raised.value)
    assert not raised.value.retryable


class OldServer(GitRemote):
    """A server before git 2.18: without protocol 2 it serves only the history of its branches and tags."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        headers = {name: value for name, value in request.headers.items() if name != "git-protocol"}
        super().answer(replace(request, headers=headers), exchange)


def test_a_commit_that_the_server_does_not_serve_raises_a_named_error(
    directories: Workspace, server: GitRemote
) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    unreachable = server.git("r", *names, "commit-tree", "main^{tree}", "-m", "unreachable")
    with OldServer(server.root, "token") as old:
        with pytest.raises(BaseRefNotFound, match="does not serve commits by their ids"):
            cloned(directories, old, base_branch=unreachable)
        assert cloned(directories, old, base_branch="v2").base_commit == server.git("r", "rev-parse", "v2")


@pytest.mark.parametrize("base_branch", ["", "v2", "{commit}"])
def test_a_later_attempt_starts_from_the_same_commit_although_the_branches_have_moved(
    directories: Workspace, server: GitRemote, base_branch: str
) -> None:
    name = f"moved-{base_branch[:2].strip('{') or 'main'}"
    server.copy(name, str(server.root / "r.git"))
    base_branch = base_branch.format(commit=server.git("r", "rev-parse", "main~1"))
    checkout = cloned(directories, server, base_branch=base_branch, name=name)
    tree = server.git(name, "rev-parse", "release^{tree}")
    moved = server.git(name, "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", tree, "-p", "main", "-m", "6")
    server.git(name, "update-ref", "refs/heads/main", moved)
    with workspace() as later:
        source = remote(later, server, name)
        fetch_base(
            later, source, checkout, base_branch=base_branch, depth=50, progress=RemoteProgress(), work_tree=True
        )
        assert git_as_agent(later, "rev-parse", "HEAD").text == checkout.base_commit
        shown = git_as_agent(later, "rev-parse", "origin/main").text
        assert shown == (moved if base_branch else checkout.base_commit)
        assert changed_by(later, checkout, "git checkout -q main").commit == ""
    with workspace() as delivery:
        source = remote(delivery, server, name)
        fetch_base(delivery, source, checkout, base_branch="", depth=50, progress=RemoteProgress(), work_tree=False)
        assert run_git(["cat-file", "-t", checkout.base_commit], git_dir=delivery.clean_git).text == "commit"

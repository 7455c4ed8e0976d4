"""Submodules in the work tree: which addresses are fetched from, who gets the token, and what the agent may leave."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.errors import RunError, SubmoduleNotAllowed
from flows.parameters.addresses import RepoUrl
from flows.repository.agent_git import git_as_agent
from flows.repository.binding import Binding
from flows.repository.clone import Checkout, clone
from flows.repository.collect import Change, CommitIdentity, bundle, collect
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.repository.submodule_checkout import submodule_paths
from flows.repository.work_tree import renew_work_tree
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace

NAMES = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
IDENTITY = CommitIdentity("bot@example.com", datetime(2026, 11, 27, 12, tzinfo=UTC), "Implement\n")


def commit(server: GitRemote, name: str, files: dict[str, str], links: dict[str, str], modules: str) -> str:
    """Create a repository with files, with links to submodules by path, and with the text of .gitmodules."""
    seed = server.root.parent / f"seed-{name.replace('/', '-')}"
    seed.mkdir()
    for path, content in {**files, **({".gitmodules": modules} if modules else {})}.items():
        (seed / path).write_text(content)
    server.create(name, seed)
    for path, linked in links.items():
        server.git(name, "update-index", "--add", "--cacheinfo", f"160000,{linked},{path}")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    tree = server.git(name, "write-tree")
    with_links = server.git(name, *identity, "commit-tree", tree, "-p", "main", "-m", "links")
    server.git(name, "update-ref", "refs/heads/main", with_links)
    return with_links


def section(name: str, path: str, url: str) -> str:
    return f'[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitRemote]:
    folder = tmp_path_factory.mktemp("submodules") / "served"
    folder.mkdir()
    with GitRemote(folder, "token") as made:
        inner = commit(made, "team/inner", {"i.txt": "i\n"}, {}, "")
        modules = section("inner", "deep/inner", "../inner.git")
        lib = commit(made, "team/lib", {"l.txt": "l\n", ".gitignore": "*.log\n"}, {"deep/inner": inner}, modules)
        commit(made, "other/lib", {"o.txt": "o\n"}, {}, "")
        commit(made, "team/r", {"a.txt": "a\n"}, {"libs/lib": lib}, section("the lib", "libs/lib", "../lib.git"))
        yield made


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as made:
        yield made


def cloned(
    directories: Workspace, server: GitRemote, name: str = "team/r", repositories: tuple[str, ...] | None = None
) -> Checkout:
    credentials = GitCredentials(SecretStr("token"), "bot@example.com", "u", (Binding(None, repositories),))
    remote = Remote(RepoUrl.parse(f"{server.url}/{name}.git"), credentials, directories.trusted)
    return clone(
        directories,
        remote,
        branch="new",
        base_branch="",
        depth=50,
        allow_default_branch=False,
        progress=RemoteProgress(),
        submodules=True,
    )


def changed_by(directories: Workspace, checkout: Checkout, script: str) -> Change:
    line = ["sh", "-ec", f"cd {directories.work_tree} && {script}"]
    commands.check(commands.run(directories, line, environment=NAMES, beside_agent=True), "act as the agent")
    return collect(directories, checkout, IDENTITY)


def test_submodules_have_their_files_and_belong_to_the_agent(directories: Workspace, server: GitRemote) -> None:
    checkout = cloned(directories, server)
    lib = directories.work_tree / "libs" / "lib"
    assert (lib / "l.txt").read_text() == "l\n"
    assert (lib / "deep" / "inner" / "i.txt").read_text() == "i\n"
    owner = directories.agent.uid if directories.agent.uid is not None else os.geteuid()
    assert {path.lstat().st_uid for path in lib.rglob("*")} == {owner}
    assert git_as_agent(directories, "status", "--porcelain").text == ""
    script = (
        "git submodule status --recursive > ../status; git -C libs/lib log --format=%s > ../log; touch libs/lib/l.txt"
    )
    change = changed_by(directories, checkout, script)
    assert (change.commit, change.left_aside, change.fault) == ("", (), "")
    states = (directories.work_tree.parent / "status").read_text().splitlines()
    assert [(state[0], state.split()[1]) for state in states] == [(" ", "libs/lib"), (" ", "libs/lib/deep/inner")]
    assert (directories.work_tree.parent / "log").read_text().split() == ["links", "First", "commit"]


def test_the_submodules_of_a_commit_are_found_without_a_fetch(server: GitRemote) -> None:
    assert submodule_paths(server.root / "team" / "r.git", "main") == ["libs/lib"]
    assert submodule_paths(server.root / "other" / "lib.git", "main") == []


@pytest.mark.parametrize(
    ("script", "places", "files"),
    [
        ("echo w > libs/lib/w.txt", {"the submodule libs/lib"}, set()),
        ("echo w >> libs/lib/deep/inner/i.txt; echo x > x.txt", {"the submodule libs/lib/deep/inner"}, {"x.txt"}),
        ("rm libs/lib/l.txt", {"the submodule libs/lib"}, set()),
        ("echo w > libs/lib/w.log", set(), set()),
        ("cd libs/lib; echo w > w; git add w; git commit -qm w", {"the submodule libs/lib"}, {"libs/lib"}),
    ],
    ids=["new-file", "inner", "deleted", "ignored", "commit"],
)
def test_changes_in_a_submodule_are_saved_and_named(
    directories: Workspace, server: GitRemote, script: str, places: set[str], files: set[str]
) -> None:
    change = changed_by(directories, cloned(directories, server), script)
    assert change.fault == ""
    assert {file.path for file in change.files} == files
    assert {work.place for work in change.left_aside} == places
    assert change.is_left_aside == (bool(places) and not files)
    assert bool(bundle(directories.clean_git, change)) == bool(places)


HOSTILE = {
    "other-owner": ("lib", "lib", "../../other/lib.git"),
    "other-server": ("lib", "lib", "https://127.0.0.1:9/team/lib.git"),
    "option": ("lib", "lib", "-u./payload"),
    "ext": ("lib", "lib", "ext::sh -c true"),
    "file": ("lib", "lib", "file:///tmp/lib.git"),
    "user": ("lib", "lib", "https://x@127.0.0.1/team/lib.git"),
    "folder-by-escape": ("lib", "lib", "{server}/team/%2e%2e/other/lib.git"),
    "folder-prefix": ("lib", "lib", "{server}/team-2/lib.git"),
    "name-with-dots": ("../../evil", "lib", "../lib.git"),
    "name-is-git": ("a/.GIT/b", "lib", "../lib.git"),
    "path-option": ("lib", "-lib", "../lib.git"),
    "no-address": ("lib", "elsewhere", "../lib.git"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_submodules_are_refused_before_anybody_is_asked(
    directories: Workspace, server: GitRemote, case: str
) -> None:
    name, path, url = HOSTILE[case]
    linked = server.git("team/lib", "rev-parse", "main")
    link = "lib" if case == "no-address" else path
    modules = section(name, path, url.format(server=server.url))
    commit(server, f"team/{case}", {"a": "a\n"}, {link: linked}, modules)
    server.requests.clear()
    with pytest.raises(SubmoduleNotAllowed) as raised:
        cloned(directories, server, f"team/{case}")
    assert "turn submodules off" in str(raised.value) or "correct .gitmodules" in str(raised.value)
    assert all(request.path.startswith(f"/team/{case}.git/") for request in server.requests)
    assert not list(directories.work_tree.iterdir())


def test_a_path_inside_git_is_refused(directories: Workspace, server: GitRemote) -> None:
    """An index of git does not take such a path, but a tree may have it."""
    linked = server.git("team/lib", "rev-parse", "main")
    commit(server, "team/dot-git", {"a": "a\n"}, {}, section("x", ".git/x", "../lib.git"))
    bare = f"--git-dir={server.root / 'team' / 'dot-git.git'}"

    def tree(rows: str) -> str:
        line = ["git", bare, "mktree"]
        return subprocess.run(line, input=rows, check=True, capture_output=True, text=True).stdout.strip()

    rows = server.git("team/dot-git", "ls-tree", "main")
    inside = tree(f"160000 commit {linked}\tx\n")
    root = tree(f"{rows}\n040000 tree {inside}\t.git\n")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    evil = server.git("team/dot-git", *identity, "commit-tree", root, "-p", "main", "-m", "evil")
    server.git("team/dot-git", "update-ref", "refs/heads/main", evil)
    with pytest.raises(SubmoduleNotAllowed, match="no usable path"):
        cloned(directories, server, "team/dot-git")
    assert not Path(directories.work_tree / ".git" / "x").exists()


def test_a_repository_that_the_credentials_list_is_fetched_from(directories: Workspace, server: GitRemote) -> None:
    linked = server.git("other/lib", "rev-parse", "main")
    commit(server, "team/listed", {"a": "a\n"}, {"lib": linked}, section("lib", "lib", f"{server.url}/other/lib.git"))
    repositories = (f"{server.url}/team/listed", f"{server.url}/other/*")
    cloned(directories, server, "team/listed", repositories)
    assert (directories.work_tree / "lib" / "o.txt").read_text() == "o\n"


def test_a_commit_that_is_not_there_and_a_forbidden_repository_have_named_errors(
    directories: Workspace, server: GitRemote
) -> None:
    commit(server, "team/lost", {"a": "a\n"}, {"lib": "1" * 40}, section("lib", "lib", "../lib.git"))
    with pytest.raises(RunError, match="the submodule 'lib' at commit 111111111111 cannot be fetched"):
        cloned(directories, server, "team/lost")
    server.requests.clear()
    with workspace() as other, pytest.raises(RunError, match="the git token is not for"):
        cloned(other, server, "team/lost", (f"{server.url}/team/lost",))
    assert not [request for request in server.requests if "/team/lib.git/" in request.path]


def test_a_work_tree_is_put_back_to_what_it_was_after_the_checkout(directories: Workspace, server: GitRemote) -> None:
    checkout = cloned(directories, server)
    listing = (
        f"cd {directories.work_tree}; find . ~ $TMPDIR ! -path './.git/*' | sort; find . -name '*.txt' | xargs cat"
    )
    before = commands.run(directories, ["sh", "-c", listing]).text
    script = (
        f"cd {directories.work_tree}; git -C libs/lib checkout -q -b other; echo y > libs/lib/l.txt; "
        "git -C libs/lib -c user.name=x -c user.email=x@x commit -qam y; touch .git/modules/0/index.lock; "
        "echo 2 > a.txt; rm -r libs/lib; mkdir -p libs/lib; echo x > libs/lib/new.txt; "
        "mkdir read-only; echo x > read-only/f; chmod 555 read-only; echo x > ~/.rc; echo x > $TMPDIR/f; "
        "git update-index --skip-worktree a.txt; git checkout -qb elsewhere; touch .git/index.lock"
    )
    commands.run(directories, ["sh", "-c", script])
    assert commands.run(directories, ["sh", "-c", listing]).text != before
    renew_work_tree(directories, checkout.branch, checkout.base_commit)
    assert commands.run(directories, ["sh", "-c", listing]).text == before
    assert git_as_agent(directories, "status", "--porcelain").text == ""
    assert git_as_agent(directories, "branch", "--show-current").text == "new"
    assert collect(directories, checkout, IDENTITY).commit == ""

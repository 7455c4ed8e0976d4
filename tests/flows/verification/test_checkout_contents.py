"""The fresh checkout of repositories with Git LFS or submodules, and on machines where the agent is not isolated."""

import subprocess
from pathlib import Path

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.errors import SetupFailed
from flows.parameters.addresses import RepoUrl
from flows.repository.clone import clone
from flows.repository.collect import Change, collect
from flows.repository.credentials import GitCredentials
from flows.repository.lfs_filter import object_store
from flows.repository.remote import Remote
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace
from flows.verification.checkout import fresh_checkout
from flows.verification.prepared import save_prepared
from flows.verification.results import Verdict
from tests.support.lfs_repository import ATTRIBUTES, CONTENT, IDENTITY, as_agent, lfs_repository
from tests.support.verification import VerifiedRun, verified_run


def read(directories: Workspace, path: str) -> bytes:
    return commands.run(directories, ["cat", str(directories.work_tree / path)], beside_agent=True).stdout


def test_the_files_of_git_lfs_are_those_of_the_server_and_of_the_change(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        ".gitattributes": ATTRIBUTES,
        "a.bin": CONTENT,
        "b.bin": b"second" * 400,
        "x.txt": "x\n",
    }
    with lfs_repository(tmp_path, files) as served, workspace() as directories:
        checkout = served.clone(directories)
        as_agent(directories, "printf new-content > new.bin; printf changed-content > b.bin; echo 2 > x.txt")
        commit = collect(directories, checkout, IDENTITY).commit
        # The agent replaces the objects, so that git writes this in the agent's own checkout.
        replace = f"for f in $(find {object_store(directories)} -type f); do rm $f; echo forged > $f; done"
        as_agent(directories, f"{replace}; rm a.bin; git checkout -q a.bin || true")
        forged = read(directories, "a.bin")
        with fresh_checkout(directories, checkout, commit, None, print):
            names = ("a.bin", "b.bin", "new.bin", "x.txt")
            assert [read(directories, name) for name in names] == [CONTENT, b"changed-content", b"new-content", b"2\n"]
        assert read(directories, "a.bin") == forged == b"forged\n"


@pytest.fixture
def server(tmp_path: Path) -> GitRemote:
    folder = tmp_path / "served"
    folder.mkdir()
    return GitRemote(folder, "token")


def with_submodule(server: GitRemote, tmp_path: Path) -> str:
    """Create a repository with a submodule; return the submodule's commit."""
    for name, files in (("lib", {"l.txt": "l\n", ".gitignore": "*.log\n"}), ("r", {"a.txt": "a\n"})):
        (tmp_path / name).mkdir()
        modules = {".gitmodules": '[submodule "lib"]\n\tpath = libs/lib\n\turl = ../lib.git\n'} if name == "r" else {}
        for path, content in {**files, **modules}.items():
            (tmp_path / name / path).write_text(content)
        server.create(f"team/{name}", tmp_path / name)
    linked = server.git("team/lib", "rev-parse", "main").strip()
    server.git("team/r", "read-tree", "main")
    server.git("team/r", "update-index", "--add", "--cacheinfo", f"160000,{linked},libs/lib")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    tree = server.git("team/r", "write-tree").strip()
    commit = server.git("team/r", *identity, "commit-tree", tree, "-p", "main", "-m", "links").strip()
    server.git("team/r", "update-ref", "refs/heads/main", commit)
    return linked


def test_submodules_have_their_files_and_what_the_setup_made_there(server: GitRemote, tmp_path: Path) -> None:
    with server, workspace() as directories:
        with_submodule(server, tmp_path)
        remote = Remote(
            RepoUrl.parse(f"{server.url}/team/r.git"),
            GitCredentials(SecretStr("token"), "bot@example.com", "u"),
            directories.trusted,
        )
        checkout = clone(
            directories, remote, branch="new", base_branch="", depth=50, allow_default_branch=False,
            progress=RemoteProgress(), submodules=True,
        )  # fmt: skip
        as_agent(directories, "echo made > libs/lib/made.log")
        assert save_prepared(directories) == ""
        as_agent(directories, "echo forged > libs/lib/made.log; echo forged > libs/lib/new.log; echo 2 > a.txt")
        change = collect(directories, checkout, IDENTITY)
        with fresh_checkout(directories, checkout, change.commit, None, print):
            listing = commands.run(directories, ["ls", str(directories.work_tree / "libs/lib")], beside_agent=True)
            assert listing.text == "l.txt\nmade.log"
            assert read(directories, "libs/lib/made.log") == b"made\n"
            status = ["git", "-C", str(directories.work_tree), "status", "--porcelain"]
            assert commands.run(directories, status, beside_agent=True).text == ""
        assert read(directories, "libs/lib/made.log") == b"forged\n"
        moved = _commit(directories, change, "160000", "1" * 40)
        with pytest.raises(SetupFailed, match="adds or moves the submodule 'libs/lib'"), \
                fresh_checkout(directories, checkout, moved, None, print):  # fmt: skip
            pytest.fail("a commit that was not fetched cannot be checked out")
        removed = _commit(directories, change, "0", "0" * 40)
        with fresh_checkout(directories, checkout, removed, None, print):
            assert not (directories.work_tree / "libs/lib/l.txt").exists()


def _commit(directories: Workspace, change: Change, mode: str, linked: str) -> str:
    """Commit a tree with another entry of the submodule to `clean.git`."""
    script = (
        f"export GIT_DIR={directories.clean_git} GIT_INDEX_FILE={directories.trusted}/test.index\n"
        f"git read-tree {change.commit}; printf '{mode} {linked}\\tlibs/lib\\n' | git update-index --index-info\n"
        f"git -c user.name=x -c user.email=x@x commit-tree $(git write-tree) -p {change.checkout.base_commit} -m x"
    )
    return subprocess.run(["sh", "-ec", script], check=True, capture_output=True, text=True).stdout.strip()


def test_it_works_where_the_agent_is_not_isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.sandbox.user._reason_for_no_isolation", lambda: "a test")
    files = {"a.txt": "good\n", ".gitignore": "*.log\n"}
    with verified_run(tmp_path, files) as run:
        assert run.workspace.agent.uid is None
        run.prepare("echo made > made.log; echo made > ~/made; mkdir -p ~/ro/x; chmod 500 ~/ro ~/ro/x")
        commit = run.change("echo forged > made.log; echo forged > ~/made; touch ~/mine; chmod 500 ~; echo 2 > a.txt")
        verification = run.verify("cat made.log ~/made a.txt; ls ~; sleep 600 & chmod 500 ~", commit)
        (result,) = verification.results
        assert (result.verdict, result.output) == (Verdict.PASSED, "made\nmade\n2\nmade\nro")
        assert run.workspace.agent.processes() == []
        assert _names(run) == {"made", "mine", "ro", "ro/x"}


def _names(run: VerifiedRun) -> set[str]:
    return {str(path.relative_to(run.workspace.home)) for path in run.workspace.home.rglob("*")}

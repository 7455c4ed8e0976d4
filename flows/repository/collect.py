"""From the agent's work tree to a commit of ours: objects cross, nothing else does.

The agent's repository may hold anything, so every git that reads it runs as the agent's user. The trusted side fetches
objects from that, checks them (fsck), and makes the commit itself.
"""

import shlex
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile, mkdtemp
from typing import Final

from flows.errors import GitFailed
from flows.repository.agent_commit import commit_work_tree
from flows.repository.agent_git import git_as_agent
from flows.repository.clone import Checkout
from flows.repository.git_commands import isolated_environment, run_git
from flows.sandbox.workspace import Workspace

_RESULT_REF: Final = "refs/claude-code-headless/result"
_TIMEOUT_SECONDS: Final = 900


@dataclass(frozen=True)
class FileChange:
    """One file of the change, with its lines added and removed (None: binary)."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class Change:
    """What the agent did to the repository. `commit` is empty where that is nothing."""

    commit: str
    checkout: Checkout
    files: tuple[FileChange, ...] = ()
    fault: str = ""
    """Why git could not take it as the agent left it; the files were then taken as they are."""


@dataclass(frozen=True)
class CommitIdentity:
    """Who and when a commit says it is from. The same run gives the same, so that it makes the same commit id."""

    email: str
    date: datetime
    message: str

    @property
    def environment(self) -> dict[str, str]:
        """Git's variables for author and committer; the name is the e-mail's part before the @."""
        name, when = self.email.partition("@")[0], f"{int(self.date.timestamp())} +0000"
        who = {"NAME": name, "EMAIL": self.email, "DATE": when}
        return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}


def collect(workspace: Workspace, checkout: Checkout, identity: CommitIdentity) -> Change:
    """Take what is in the work tree now as one commit on top of the base; the agent's processes are ended first."""
    workspace.agent.end_processes()
    fault = ""
    try:
        try:
            _take(workspace, checkout.base_commit, workspace.work_tree / ".git")
        except GitFailed as error:
            fault = str(error)
            _take_despite_faults(workspace, checkout.base_commit)
    finally:
        workspace.agent.end_processes()
    return replace(_commit(workspace, checkout, identity), fault=fault)


def _take(workspace: Workspace, base: str, repository: Path, *, despite_faults: bool = False) -> None:
    """Commit the work tree to `repository` as the agent, and fetch that."""
    commit_work_tree(workspace, base, _RESULT_REF, repository=repository, despite_faults=despite_faults)
    fetch_objects(workspace, repository, _RESULT_REF, check=not despite_faults)


def _take_despite_faults(workspace: Workspace, base: str) -> None:
    """Take the files by way of a repository that the agent never saw: to be kept for a human, never to be pushed."""
    place = Path(mkdtemp(dir=workspace.root))
    source = ["--quiet", "--bare", "--no-local", "--template=", str(workspace.clean_git), str(place)]
    run_git(["clone", *source], config=["protocol.file.allow=always"])
    # These attributes go before the work tree's, of which one that cannot be met would end `git add` for all files.
    (place / "info").mkdir(exist_ok=True)
    (place / "info" / "attributes").write_text("* !filter !working-tree-encoding\n")
    workspace.agent.give(place)
    git_as_agent(workspace, "read-tree", base, git_dir=place)
    _take(workspace, base, place, despite_faults=True)


def fetch_objects(workspace: Workspace, repository: Path, ref: str, *, check: bool = True) -> None:
    """Fetch what a ref of the agent's repository names into `clean.git`, by an upload-pack that runs as the agent."""
    environment = isolated_environment(workspace.agent_mark)
    upload_pack = workspace.agent.argv(
        ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "git-upload-pack"]
    )
    options = ["--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc", "--quiet"]
    safe = ["protocol.file.allow=always", f"transfer.fsckObjects={str(check).lower()}"]
    fetch = [*options, f"--upload-pack={shlex.join(upload_pack)}", str(repository), f"+{ref}:{ref}"]
    run_git(["fetch", *fetch], config=safe, git_dir=workspace.clean_git, timeout_seconds=_TIMEOUT_SECONDS)


def _commit(workspace: Workspace, checkout: Checkout, identity: CommitIdentity) -> Change:
    clean, base = workspace.clean_git, checkout.base_commit
    trees = run_git(["rev-parse", f"{_RESULT_REF}^{{tree}}", f"{base}^{{tree}}"], git_dir=clean).text
    ours, before = trees.split("\n")
    if ours == before:
        return Change("", checkout)
    with TemporaryFile() as message:
        message.write(identity.message.encode())
        message.seek(0)
        commit = run_git(
            ["commit-tree", ours, "-p", base, "-F", "-"],
            git_dir=clean,
            environment=isolated_environment(identity.environment),
            stdin=message,
        ).text
    run_git(["update-ref", f"refs/heads/{checkout.branch}", commit], git_dir=clean)
    return Change(commit, checkout, _files(clean, base, commit))


def _files(git_dir: Path, base: str, commit: str) -> tuple[FileChange, ...]:
    listing = run_git(["diff-tree", "-r", "-z", "--numstat", "--no-renames", base, commit], git_dir=git_dir)
    rows = (row.split("\t", 2) for row in listing.text.split("\0") if row)
    return tuple(FileChange(path, _count(added), _count(removed)) for added, removed, path in rows)


def _count(text: str) -> int | None:
    return None if text == "-" else int(text)


def patch(git_dir: Path, change: Change) -> str:
    """Return the change as a diff, undecodable bytes replaced."""
    if not change.commit:
        return ""
    arguments = [
        "diff-tree",
        "-p",
        "--stat=100",
        "--no-ext-diff",
        "--no-textconv",
        change.checkout.base_commit,
        change.commit,
    ]
    return run_git(arguments, git_dir=git_dir).stdout.decode("utf-8", "replace")


def bundle(git_dir: Path, change: Change) -> bytes:
    """Return the change as a git bundle for `git fetch <file>` in any clone that has the base; empty where none is."""
    if not change.commit:
        return b""
    return bundle_of(git_dir, f"refs/heads/{change.checkout.branch}", change.checkout.base_commit)


def bundle_of(git_dir: Path, ref: str, base: str) -> bytes:
    """Return what a ref has on top of a base as a git bundle."""
    with NamedTemporaryFile(dir=git_dir.parent, suffix=".bundle") as file:
        run_git(["bundle", "create", "--quiet", file.name, ref, f"^{base}"], git_dir=git_dir)
        return Path(file.name).read_bytes()


def take_bundle(git_dir: Path, checkout: Checkout, bundle: bytes) -> Change:
    """Return the change that an earlier execution of the run bundled; raise `GitFailed` where it is not sound."""
    with NamedTemporaryFile(dir=git_dir.parent, suffix=".bundle") as file:
        file.write(bundle)
        file.flush()
        ref = f"refs/heads/{checkout.branch}"
        safe = ["protocol.file.allow=always", "transfer.fsckObjects=true"]
        arguments = ["fetch", "--no-write-fetch-head", "--quiet", "--update-head-ok", file.name, f"+{ref}:{ref}"]
        run_git(arguments, config=safe, git_dir=git_dir)
    return collected(git_dir, checkout)


def collected(git_dir: Path, checkout: Checkout) -> Change:
    """Return the change that `clean.git` has on its branch by now."""
    ref = f"refs/heads/{checkout.branch}"
    commit = run_git(["rev-parse", f"{ref}^{{commit}}"], git_dir=git_dir).text
    if commit == checkout.base_commit:
        return Change("", checkout)
    return Change(commit, checkout, _files(git_dir, checkout.base_commit, commit))

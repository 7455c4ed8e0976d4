"""Turns the agent's work tree into a commit of the trusted side; nothing but git objects crosses over.

The agent's repository may hold anything, so every git process that reads it runs as the agent's user. The trusted side
fetches objects from such a process, checks them (fsck), and creates the commit itself.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile, mkdtemp
from typing import Final

from flows.errors import GitFailed
from flows.repository.agent_commit import Commit, commit_work_tree, make_readable
from flows.repository.agent_git import git_as_agent
from flows.repository.clone import Checkout
from flows.repository.collection import create_repository, exclude_environments
from flows.repository.git_commands import isolated_environment, run_git
from flows.repository.ignored_files import ExcludedFiles, find_excluded_files
from flows.repository.left_aside import FoundWork, LeftAside, find_work
from flows.sandbox.workspace import Workspace

_RESULT_REF: Final = "refs/claude-code-headless/result"
_REPOSITORY: Final = "collection.git"
_NAMED_PATHS: Final = 5
_TIMEOUT_SECONDS: Final = 900


@dataclass(frozen=True)
class FileChange:
    """One file of the change, with how many lines were added and removed (None for a binary file)."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class Change:
    """What the agent changed in the repository. `commit` is empty if it changed nothing."""

    commit: str
    checkout: Checkout
    files: tuple[FileChange, ...] = ()
    fault: str = ""
    """Why git could not commit the work tree to the agent's repository; its files were then collected without it."""
    notes: tuple[str, ...] = ()
    """What a reviewer has to know about how the change was collected, a sentence each."""
    left_aside: tuple[LeftAside, ...] = ()
    """Work that is not part of the change."""

    @property
    def is_left_aside(self) -> bool:
        """Whether the agent's work is not in the work tree, so that it is unknown what to deliver."""
        return not self.commit and any(not work.is_ignored for work in self.left_aside)


@dataclass(frozen=True)
class CommitIdentity:
    """Author, date and message of a commit: the same in every attempt of a run, so that its commit id is the same."""

    email: str
    date: datetime
    message: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables for git's author and committer; the name is the part of the e-mail address before the @."""
        name, date = self.email.partition("@")[0], f"{int(self.date.timestamp())} +0000"
        person = {"NAME": name, "EMAIL": self.email, "DATE": date}
        return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}


def collect(
    workspace: Workspace, checkout: Checkout, identity: CommitIdentity, leave_out: Sequence[str] = ()
) -> Change:
    """End the agent's processes, and commit the content of the work tree as one commit on top of the base.

    If nothing in the work tree changed, and the agent left work on top of the base in one other place, such as a
    branch, that work is the change. All other work that is found elsewhere is in `left_aside`.

    Args:
        workspace: The run's directories.
        checkout: Where the work started.
        identity: Author, date and message of the commit.
        leave_out: Patterns of paths whose changes are left out, with a note.
    """
    workspace.agent.end_processes()
    fault, base = "", checkout.base_commit
    work, excluded = FoundWork(), ExcludedFiles()
    try:
        make_readable(workspace)
        try:
            repository = create_repository(workspace, _REPOSITORY)
            exclude_environments(workspace, repository)
            commit = commit_work_tree(workspace, repository, base, _RESULT_REF, leave_out=leave_out)
            work = find_work(workspace, repository, checkout, commit)
            excluded = find_excluded_files(workspace, repository, base)
            refs = (work.chosen_ref, *(item.ref for item in (*work.left_aside, *excluded.ignored)))
            fetch_objects(workspace, repository, _RESULT_REF, *filter(None, refs))
        except GitFailed as error:
            fault, work, excluded = str(error), FoundWork(), ExcludedFiles()
            commit = _collect_despite_faults(workspace, base)
    finally:
        workspace.agent.end_processes()
    change = _commit(workspace, checkout, identity, work.chosen_tree)
    notes = (*_notes(commit, excluded), *work.notes)
    return replace(change, fault=fault, notes=notes, left_aside=(*work.left_aside, *excluded.ignored))


def _notes(commit: Commit, excluded: ExcludedFiles) -> Iterator[str]:
    if commit.nested:
        yield (
            f"{_names(commit.nested)}: a repository inside the repository; the change has its files, not its history"
        )
    if commit.left_out:
        yield f"{_names(commit.left_out)}: left out of the change, because policy.leave_out has a pattern of it"
    if excluded.build_folders:
        yield (
            f"{_names(excluded.build_folders)}: left out of the change, because tools fill such folders. Add them to "
            ".gitignore"
        )


def _names(paths: Sequence[str]) -> str:
    names = [repr(path.encode("utf-8", "replace").decode()) for path in paths[:_NAMED_PATHS]]
    more = [f"and {len(paths) - _NAMED_PATHS} more"] if len(paths) > _NAMED_PATHS else []
    return ", ".join(names + more)


def _collect_despite_faults(workspace: Workspace, base: str) -> Commit:
    """Collect the files through a repository that the agent never saw.

    The result is saved for a person to look at, and never pushed.
    """
    repository = Path(mkdtemp(dir=workspace.root))
    arguments = ["--quiet", "--bare", "--no-local", "--template=", str(workspace.clean_git), str(repository)]
    run_git(["clone", *arguments], config=["protocol.file.allow=always"])
    # These attributes override the work tree's own: a single one that git cannot apply makes `git add` fail for all.
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_text("* !filter !working-tree-encoding\n")
    workspace.agent.give(repository)
    git_as_agent(workspace, "read-tree", base, git_dir=repository)
    commit = commit_work_tree(workspace, repository, base, _RESULT_REF, despite_faults=True)
    fetch_objects(workspace, repository, _RESULT_REF, check=False)
    return commit


def fetch_objects(workspace: Workspace, repository: Path, *refs: str, check: bool = True) -> None:
    """Fetch refs of a repository of the agent into `clean.git`, from an upload-pack that runs as the agent."""
    environment = isolated_environment(workspace.agent_variables)
    upload_pack = workspace.agent.argv(
        ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "git-upload-pack"]
    )
    options = ["--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc", "--quiet"]
    safe = ["protocol.file.allow=always", f"transfer.fsckObjects={str(check).lower()}"]
    fetch = [*options, f"--upload-pack={shlex.join(upload_pack)}", str(repository), *(f"+{ref}:{ref}" for ref in refs)]
    run_git(["fetch", *fetch], config=safe, git_dir=workspace.clean_git, timeout_seconds=_TIMEOUT_SECONDS)


def _commit(workspace: Workspace, checkout: Checkout, identity: CommitIdentity, chosen_tree: str) -> Change:
    clean, base = workspace.clean_git, checkout.base_commit
    trees = run_git(["rev-parse", f"{_RESULT_REF}^{{tree}}", f"{base}^{{tree}}"], git_dir=clean).text
    tree, base_tree = trees.split("\n")
    tree = chosen_tree or tree
    if tree == base_tree:
        return Change("", checkout)
    with TemporaryFile() as message:
        message.write(identity.message.encode())
        message.seek(0)
        commit = run_git(
            ["commit-tree", tree, "-p", base, "-F", "-"],
            git_dir=clean,
            environment=isolated_environment(identity.environment),
            stdin=message,
        ).text
    run_git(["update-ref", f"refs/heads/{checkout.branch}", commit], git_dir=clean)
    return Change(commit, checkout, _files(clean, base, commit))


def _files(git_dir: Path, base: str, commit: str) -> tuple[FileChange, ...]:
    listing = run_git(["diff-tree", "-r", "-z", "--numstat", "--no-renames", base, commit], git_dir=git_dir)
    rows = (row.split("\t", 2) for row in listing.text.split("\0") if row)
    return tuple(FileChange(path, _line_count(added), _line_count(removed)) for added, removed, path in rows)


def _line_count(text: str) -> int | None:
    return None if text == "-" else int(text)


def patch(git_dir: Path, change: Change) -> str:
    """Return the change as a diff, with undecodable bytes replaced."""
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
    """Return the change, and all work that was left aside, as a git bundle; empty if there is neither.

    `git fetch <file> <branch>` fetches it in any clone that has the base.
    """
    refs = [f"refs/heads/{change.checkout.branch}"] if change.commit else []
    refs += [work.ref for work in change.left_aside if work.ref]
    return create_bundle(git_dir, refs, change.checkout.base_commit) if refs else b""


def create_bundle(git_dir: Path, refs: Sequence[str], base: str) -> bytes:
    """Return the commits that refs have on top of a base, as a git bundle."""
    with NamedTemporaryFile(dir=git_dir.parent, suffix=".bundle") as file:
        run_git(["bundle", "create", "--quiet", file.name, *refs, f"^{base}"], git_dir=git_dir)
        return Path(file.name).read_bytes()


def restore_change(git_dir: Path, checkout: Checkout, bundle: bytes) -> Change:
    """Restore the change that an earlier attempt of the run bundled; raise `GitFailed` if the bundle is damaged."""
    with NamedTemporaryFile(dir=git_dir.parent, suffix=".bundle") as file:
        file.write(bundle)
        file.flush()
        ref = f"refs/heads/{checkout.branch}"
        heads = run_git(["bundle", "list-heads", file.name], git_dir=git_dir).text.splitlines()
        if not any(head.endswith(f" {ref}") for head in heads):
            return Change("", checkout)  # the bundle has only work that was left aside
        safe = ["protocol.file.allow=always", "transfer.fsckObjects=true"]
        arguments = ["fetch", "--no-write-fetch-head", "--quiet", "--update-head-ok", file.name, f"+{ref}:{ref}"]
        run_git(arguments, config=safe, git_dir=git_dir)
    return collected_change(git_dir, checkout)


def collected_change(git_dir: Path, checkout: Checkout) -> Change:
    """Return the change that has been collected so far: the commit on the branch in `clean.git`."""
    ref = f"refs/heads/{checkout.branch}"
    commit = run_git(["rev-parse", f"{ref}^{{commit}}"], git_dir=git_dir).text
    if commit == checkout.base_commit:
        return Change("", checkout)
    return Change(commit, checkout, _files(git_dir, checkout.base_commit, commit))

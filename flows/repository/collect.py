"""Turns the agent's work tree into one commit in the trusted repository, `clean.git`.

The agent's repository may contain anything, so every git process that reads it runs as the agent's user. The flow's
process takes only git objects from such a process, checks the objects (`git fsck`), and creates the commit itself.
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
from flows.repository.base_branch import files_left, merge, start_of_work
from flows.repository.clone import Checkout
from flows.repository.collection import create_repository, exclude_environments
from flows.repository.git_commands import isolated_environment, run_git
from flows.repository.ignored_files import ExcludedFiles, find_excluded_files
from flows.repository.left_aside import FoundWork, LeftAside, find_work
from flows.repository.lfs_objects import OBJECTS_REF, commit_objects, has_objects
from flows.repository.merged_files import with_merged_files
from flows.repository.setup_files import SetupFiles
from flows.sandbox.workspace import Workspace

_RESULT_REF: Final = "refs/claude-code-headless/result"
_REPOSITORY: Final = "collection.git"
_NAMED_PATHS: Final = 5
_TIMEOUT_SECONDS: Final = 900


@dataclass(frozen=True)
class FileChange:
    """One changed file, and how many lines the change adds and removes in it. Both are None for a binary file."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class Change:
    """What the agent changed in the repository. `commit` is empty if the agent changed nothing."""

    commit: str
    checkout: Checkout
    files: tuple[FileChange, ...] = ()
    fault: str = ""
    """Git's error if the agent's repository was unusable. The files were then collected without that repository."""
    notes: tuple[str, ...] = ()
    """Notes for a reviewer about how the change was collected, such as which files were left out."""
    left_aside: tuple[LeftAside, ...] = ()
    """The agent's work that is not part of the change, such as a commit on another branch."""
    applied_to: str = ""
    """The newer commit that the change was applied to; empty if its base is the commit that the work started from."""
    applied_tree: str = ""
    """The tree of the commit if the change was applied to a newer commit; else empty."""
    already_on: str = ""
    """The remote's branch that has the change already, so that `commit` is empty and nothing is pushed; else empty."""

    @property
    def is_left_aside(self) -> bool:
        """Whether the agent left work only outside the work tree, so that a person must choose what to deliver."""
        return not self.commit and any(not work.is_ignored for work in self.left_aside)


@dataclass(frozen=True)
class CommitIdentity:
    """Author, date and message of a commit. All attempts of a run use the same values, to get the same commit id."""

    email: str
    date: datetime
    message: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables for git's author and committer. The name of both is the part of `email` before the @."""
        name, date = self.email.partition("@")[0], f"{int(self.date.timestamp())} +0000"
        person = {"NAME": name, "EMAIL": self.email, "DATE": date}
        return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}


def collect(
    workspace: Workspace, checkout: Checkout, identity: CommitIdentity, leave_out: Sequence[str] = ()
) -> Change:
    """End the agent's processes, commit the work tree as one commit on top of the base, and return the change.

    If the work tree is unchanged, and the agent left work on top of the base in exactly one other place, such as a
    branch, that work becomes the change. All other work outside the work tree is listed in the change's `left_aside`.

    Args:
        workspace: The run's directories.
        checkout: The commit and branch that the work started from.
        identity: Author, date and message of the commit.
        leave_out: Patterns of paths. Changes to files whose paths match are left out, and a note names the files.
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
            other = (work.chosen_ref, *(item.ref for item in (*work.left_aside, *excluded.ignored)))
            refs = [_RESULT_REF, *filter(None, other)]
            fetch_objects(workspace, repository, *refs)
            if ref := commit_objects(workspace, repository, base, refs):
                fetch_objects(workspace, repository, ref)
        except GitFailed as error:
            fault, work, excluded = str(error), FoundWork(), ExcludedFiles()
            commit = _collect_despite_faults(workspace, base)
    finally:
        workspace.agent.end_processes()
    change = _commit(workspace, checkout, identity, work.chosen_tree, commit.left_out)
    notes = (*_notes(workspace, commit, excluded), *_notes_on_merge(workspace.clean_git, change), *work.notes)
    return replace(change, fault=fault, notes=notes, left_aside=(*work.left_aside, *excluded.ignored))


def _notes(workspace: Workspace, commit: Commit, excluded: ExcludedFiles) -> Iterator[str]:
    nested = [path for path in commit.nested if path not in SetupFiles.load(workspace).nested]
    if nested:
        yield (f"{names(nested)}: a repository inside the repository; the change has its files but not its history")
    if commit.left_out:
        yield f"{names(commit.left_out)}: left out of the change, because a pattern in policy.leave_out matches"
    if commit.setup_files:
        yield f"{names(commit.setup_files)}: made by the setup command and changed by the agent, so part of the change"
    if excluded.build_folders:
        yield (
            f"{names(excluded.build_folders)}: left out of the change, because tools fill such folders with files. "
            "Add the folders to .gitignore"
        )


def _notes_on_merge(git_dir: Path, change: Change) -> Iterator[str]:
    base, other = change.checkout.base_commit, change.checkout.merged_commit
    merged = merge(git_dir, base, other) if other else None
    if merged and not change.commit:
        yield f"the agent has undone the merge of {other[:12]}, so nothing is merged"
    elif merged and (paths := files_left(git_dir, merged, change.commit)):
        yield f"{names(paths)}: conflicts without markers, which the agent left as git did; check these files"


def names(paths: Sequence[str]) -> str:
    """Return up to five paths, for a message, and how many more there are."""
    shown = [repr(path.encode("utf-8", "replace").decode()) for path in paths[:_NAMED_PATHS]]
    more = [f"and {len(paths) - _NAMED_PATHS} more"] if len(paths) > _NAMED_PATHS else []
    return ", ".join(shown + more)


def _collect_despite_faults(workspace: Workspace, base: str) -> Commit:
    """Commit the work tree's files in a new clone of `clean.git`, without the agent's repository; return the commit.

    The commit is saved for a person to look at. It is never pushed.
    """
    repository = Path(mkdtemp(dir=workspace.root))
    arguments = ["--quiet", "--bare", "--no-local", "--template=", str(workspace.clean_git), str(repository)]
    run_git(["clone", *arguments], config=["protocol.file.allow=always"])
    # These attributes override the work tree's own, because a single one that git cannot apply
    # makes `git add` fail for all files.
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_text("* !filter !working-tree-encoding\n")
    workspace.agent.give(repository)
    git_as_agent(workspace, "read-tree", base, git_dir=repository)
    commit = commit_work_tree(workspace, repository, base, _RESULT_REF, despite_faults=True)
    fetch_objects(workspace, repository, _RESULT_REF, check=False)
    return commit


def fetch_objects(workspace: Workspace, repository: Path, *refs: str, check: bool = True) -> None:
    """Fetch refs into `clean.git` from a repository of the agent.

    The git process that reads the agent's repository (`git-upload-pack`) runs as the agent's user.
    """
    environment = isolated_environment(workspace.agent_variables)
    upload_pack = workspace.agent.argv(
        ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "git-upload-pack"]
    )
    options = ["--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc", "--quiet"]
    safe = ["protocol.file.allow=always", f"transfer.fsckObjects={str(check).lower()}"]
    fetch = [*options, f"--upload-pack={shlex.join(upload_pack)}", str(repository), *(f"+{ref}:{ref}" for ref in refs)]
    run_git(["fetch", *fetch], config=safe, git_dir=workspace.clean_git, timeout_seconds=_TIMEOUT_SECONDS)


def _commit(
    workspace: Workspace, checkout: Checkout, identity: CommitIdentity, chosen_tree: str, left_out: Sequence[str]
) -> Change:
    clean, base = workspace.clean_git, checkout.base_commit
    trees = run_git(["rev-parse", f"{_RESULT_REF}^{{tree}}", f"{base}^{{tree}}"], git_dir=clean).text
    tree, base_tree = trees.split("\n")
    tree = chosen_tree or tree
    if checkout.merged_commit:
        collected, tree = tree, with_merged_files(workspace, workspace.root / _REPOSITORY, checkout, tree, left_out)
        is_undone = collected == base_tree and tree != start_of_work(clean, base, checkout.merged_commit)
    else:
        is_undone = tree == base_tree
    if is_undone:
        return Change("", checkout)
    merged = ["-p", checkout.merged_commit] if checkout.merged_commit else []
    with TemporaryFile() as message:
        message.write(identity.message.encode())
        message.seek(0)
        commit = run_git(
            ["commit-tree", tree, "-p", base, *merged, "-F", "-"],
            git_dir=clean,
            environment=isolated_environment(identity.environment),
            stdin=message,
        ).text
    run_git(["update-ref", f"refs/heads/{checkout.branch}", commit], git_dir=clean)
    return Change(commit, checkout, _own_file_changes(clean, checkout, commit))


def file_changes(git_dir: Path, base: str, commit: str) -> tuple[FileChange, ...]:
    """Return the files that differ between two commits, with the number of changed lines."""
    listing = run_git(["diff-tree", "-r", "-z", "--numstat", "--no-renames", base, commit], git_dir=git_dir)
    rows = (row.split("\t", 2) for row in listing.text.split("\0") if row)
    return tuple(FileChange(path, _line_count(added), _line_count(removed)) for added, removed, path in rows)


def _own_file_changes(git_dir: Path, checkout: Checkout, commit: str) -> tuple[FileChange, ...]:
    """Return the files that the commit changes, after a merge those that are not as git has merged them."""
    return file_changes(git_dir, start_of_work(git_dir, checkout.base_commit, checkout.merged_commit), commit)


def _line_count(text: str) -> int | None:
    return None if text == "-" else int(text)


def patch(git_dir: Path, change: Change) -> str:
    """Return the change as a diff; empty if there is no change. Bytes that are not UTF-8 are replaced."""
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
    """Return a git bundle with the change and with the saved work that was left aside; empty if neither exists.

    In any clone that has the base, `git fetch <file> <branch>` fetches the commit of a branch from the bundle. The
    bundle also has the objects of new and changed files of Git LFS.
    """
    refs = [f"refs/heads/{change.checkout.branch}"] if change.commit else []
    refs += [work.ref for work in change.left_aside if work.ref]
    if not refs:
        return b""
    refs += [OBJECTS_REF] if has_objects(git_dir) else []
    return create_bundle(git_dir, refs, change.checkout.base_commit, change.checkout.merged_commit)


def create_bundle(git_dir: Path, refs: Sequence[str], *bases: str) -> bytes:
    """Return a git bundle with the refs and their commits, except commits that are in the history of a base."""
    without = [f"^{base}" for base in bases if base]
    with NamedTemporaryFile(dir=git_dir.parent, suffix=".bundle") as file:
        run_git(["bundle", "create", "--quiet", file.name, *refs, *without], git_dir=git_dir)
        return Path(file.name).read_bytes()


def restore_change(git_dir: Path, checkout: Checkout, bundle: bytes) -> Change:
    """Return the change in the bundle that an earlier attempt of the run saved; raise `GitFailed` if it is damaged."""
    with NamedTemporaryFile(dir=git_dir.parent, suffix=".bundle") as file:
        file.write(bundle)
        file.flush()
        ref = f"refs/heads/{checkout.branch}"
        heads = run_git(["bundle", "list-heads", file.name], git_dir=git_dir).text.splitlines()
        if not any(head.endswith(f" {ref}") for head in heads):
            return Change("", checkout)  # the bundle has only work that was left aside
        safe = ["protocol.file.allow=always", "transfer.fsckObjects=true"]
        arguments = ["fetch", "--no-write-fetch-head", "--quiet", "--update-head-ok", file.name, f"+{ref}:{ref}"]
        run_git(["update-ref", "-d", OBJECTS_REF], git_dir=git_dir)  # those of a later change, if there is one
        objects = [f"+{OBJECTS_REF}:{OBJECTS_REF}"] if any(head.endswith(f" {OBJECTS_REF}") for head in heads) else []
        run_git([*arguments, *objects], config=safe, git_dir=git_dir)
    return collected_change(git_dir, checkout)


def collected_change(git_dir: Path, checkout: Checkout) -> Change:
    """Return the change that is already on the run's branch in `clean.git`. Its `commit` is empty without a change."""
    ref = f"refs/heads/{checkout.branch}"
    commit = run_git(["rev-parse", f"{ref}^{{commit}}"], git_dir=git_dir).text
    if commit == checkout.base_commit:
        return Change("", checkout)
    return Change(commit, checkout, _own_file_changes(git_dir, checkout, commit))

"""Runs the setup command in the agent's work tree, and puts back the repository's own files if it changed them."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from flows.errors import DISK_FULL, GitFailed, SetupFailed, disk_full_error
from flows.parameters.verification import has_commands
from flows.repository.agent_commit import commit_work_tree, make_readable
from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.repository.clone import Checkout
from flows.repository.collection import SUBMODULE, Entry, create_repository, exclude_environments, parse_raw_diff
from flows.repository.git_commands import check_git, isolated_environment
from flows.repository.ignored_files import find_build_folders
from flows.repository.left_aside import commits_elsewhere
from flows.repository.setup_files import SetupFiles
from flows.repository.submodule_checkout import submodule_trees
from flows.sandbox import commands
from flows.sandbox.output import OutputLog
from flows.sandbox.shell import ScriptResult, run_script
from flows.sandbox.workspace import Workspace

PARAMETER: Final = "verification.setup_command"
_REPOSITORY: Final = "setup.git"
_REF: Final = "refs/claude-code-headless/setup"
_RESET: Final = """
set -e
rm -f "$GIT_DIR/index.lock" "$GIT_DIR/HEAD.lock"
"$@" symbolic-ref HEAD "refs/heads/$BRANCH"
"$@" reset --quiet "$BASE" 2>/dev/null || { rm -rf "$GIT_DIR/index"; "$@" reset --quiet "$BASE"; }
"""


@dataclass(frozen=True)
class SetupCommand:
    """The shell commands that prepare the work tree of a run."""

    script: str
    source: str
    """Where the commands come from, for people."""


def setup_command(parameter: str, checkout: Checkout) -> SetupCommand | None:
    """Return the setup command of a run: its parameter, or else what the repository's file says.

    None means that there is nothing to run. A parameter without commands, such as `#`, asks for that.
    """
    script, source = (parameter, PARAMETER) if parameter else (checkout.setup_command, checkout.setup_source)
    return SetupCommand(script, source) if has_commands(script) else None


def run_setup(
    workspace: Workspace,
    checkout: Checkout,
    command: SetupCommand,
    environment: Mapping[str, str],
    timeout_seconds: float,
    log: Callable[[str], None],
    consequence: str = "The agent was not started.",
) -> tuple[str, ...]:
    """Run the setup command, and return the paths of the repository's files that it changed. They are put back.

    Args:
        workspace: The run's directories.
        checkout: What is checked out in the work tree.
        command: The setup command.
        environment: All environment variables of the command.
        timeout_seconds: How long the command may run; 0 for no limit.
        log: Called with each line of the output.
        consequence: What a failure means for the run, as a sentence.

    Raises:
        SetupFailed: The command failed, took too long, filled the disk, or destroyed the repository in the work tree.
    """
    output = OutputLog(log)
    result = run_script(workspace, command.script, environment, timeout_seconds=timeout_seconds, on_output=output.write)
    output.close()
    if reason := _failure(workspace, result, timeout_seconds, output.last_lines):
        raise _error(command, reason, consequence, output)
    try:
        return _restore_and_record(workspace, checkout)
    except GitFailed as error:
        reason = f"left a work tree that git cannot read ({error}): correct it so that it leaves the folder .git alone"
        raise _error(command, reason, consequence, output) from None


def _failure(workspace: Workspace, result: ScriptResult, timeout_seconds: float, last_lines: str) -> str:
    """Return how the command failed and what to do; empty if it succeeded."""
    failed = result.is_timed_out or result.status != 0
    if workspace.disk_is_full or (failed and disk_full_error(last_lines)):
        return f"filled the disk: {DISK_FULL}"
    if result.is_timed_out:
        return (
            f"did not end within {timeout_seconds:g} seconds: raise limits.setup_timeout_seconds, or make it do less. "
            "A command that waits for an answer never ends, because there is no input"
        )
    if result.status < 0:
        return f"was ended by signal {-result.status}, perhaps because the machine has too little memory"
    return f"ended with exit status {result.status}: correct it, or what it needs" if result.status else ""


def _error(command: SetupCommand, reason: str, consequence: str, output: OutputLog) -> SetupFailed:
    lines = output.last_lines
    shown = f".\nIts last lines:\n{lines}" if lines else ". It printed nothing."
    return SetupFailed(
        f"the setup command, from {command.source}, {reason}. {consequence} To try the command, run "
        f"python -m flows setup{shown}"
    )


def _restore_and_record(workspace: Workspace, checkout: Checkout) -> tuple[str, ...]:
    base = checkout.base_commit
    SetupFiles().save(workspace)  # the record of an earlier setup would hide files
    try:
        make_readable(workspace)
        _reset_repository(workspace, checkout)
        repository = create_repository(workspace, _REPOSITORY)
        commit = commit_work_tree(workspace, repository, base, _REF)
        new, changed = _differences(workspace, repository, base)
        if changed:
            _put_back(workspace, repository, base, changed)
        commits = commits_elsewhere(workspace, checkout)
        submodules = submodule_trees(workspace, repository, commit.submodules)
        exclude_environments(workspace, repository)
        folders = find_build_folders(workspace, repository)
    finally:
        workspace.agent.end_processes()
    SetupFiles(new, commit.nested, commits, submodules, folders).save(workspace)
    return changed


def _reset_repository(workspace: Workspace, checkout: Checkout) -> None:
    """Point HEAD and the index of the agent's repository to the base again. The files stay as they are."""
    git = work_tree_command(workspace)
    variables = {"GIT_DIR": str(workspace.work_tree / ".git"), "BRANCH": checkout.branch, "BASE": checkout.base_commit}
    run_as_agent(workspace, ["sh", "-c", _RESET, "sh", *git], environment=variables)


def _differences(workspace: Workspace, repository: Path, base: str) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """Return the entries of new files, and the paths of the repository's files that differ.

    A submodule at another commit counts as new, because its files cannot be put back.
    """
    git = work_tree_command(workspace, repository)
    diff = [*git, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev"]
    output = run_as_agent(workspace, [*diff, base, _REF]).stdout
    added = run_as_agent(workspace, [*diff, "--diff-filter=A", base, _REF]).stdout
    entries, names = parse_raw_diff(output), parse_raw_diff(added).keys()
    new = {path: entry for path, entry in entries.items() if path in names or entry.mode == SUBMODULE}
    return new, tuple(sorted(entries.keys() - new.keys()))


def _put_back(workspace: Workspace, repository: Path, base: str, paths: tuple[str, ...]) -> None:
    git = shlex.join(work_tree_command(workspace, repository))
    index = {"GIT_INDEX_FILE": str(repository / "base.index")}
    with TemporaryFile() as rows:
        rows.write("".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape"))
        rows.seek(0)
        script = f"set -e\n{git} read-tree {base}\n{git} checkout-index --force -z --stdin"
        environment = {**isolated_environment(workspace.agent_variables), **index}
        check_git(commands.run(workspace, ["sh", "-c", script], environment=environment, stdin=rows))

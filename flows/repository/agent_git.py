"""Runs git in the agent's work tree as the agent's user, because the files there can make git start any program."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.repository.git_commands import check_git, command_line, isolated_environment
from flows.sandbox import commands
from flows.sandbox.processes import CommandResult
from flows.sandbox.workspace import Workspace


def work_tree_command(workspace: Workspace, git_dir: Path | None = None, work_tree: Path | None = None) -> list[str]:
    """Return the beginning of a git command line for a work tree: `git`, the safe settings and the directories.

    Args:
        workspace: The run's directories.
        git_dir: The repository; None for the repository in the work tree.
        work_tree: The directory with the files; None for the run's work tree.
    """
    repository = git_dir or workspace.work_tree / ".git"
    return command_line([f"--git-dir={repository}", f"--work-tree={work_tree or workspace.work_tree}"])


def git_as_agent(
    workspace: Workspace, *arguments: str, git_dir: Path | None = None, beside_agent: bool = False
) -> CommandResult:
    """Run git in the agent's work tree and return the result; raise `GitFailed` or `DiskFull` if git fails."""
    return run_as_agent(workspace, [*work_tree_command(workspace, git_dir), *arguments], beside_agent=beside_agent)


def run_as_agent(
    workspace: Workspace,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    beside_agent: bool = False,
) -> CommandResult:
    """Run a command that calls git, as the agent's user and in the isolated environment, and return the result.

    Raises:
        GitFailed, DiskFull: The command failed.
    """
    return check_git(
        commands.run(
            workspace,
            command,
            environment={**isolated_environment(workspace.agent_variables), **(environment or {})},
            beside_agent=beside_agent,
        )
    )

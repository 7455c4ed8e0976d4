"""Runs commands as the agent's user, such as git in the work tree."""

import os
from collections.abc import Mapping, Sequence
from typing import IO, Final

from flows.errors import CommandFailed, disk_full_error
from flows.sandbox.processes import CommandResult, run_process
from flows.sandbox.workspace import Workspace

TIMEOUT_SECONDS: Final = 900
OUTPUT_LIMIT_BYTES: Final = 2**31


def run(
    workspace: Workspace,
    command: Sequence[str],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    beside_agent: bool = False,
) -> CommandResult:
    """Run a command as the agent's user, without this process's environment variables, and return the result.

    Args:
        workspace: The run's directories, and the user that the agent runs as.
        command: The command line.
        timeout_seconds: How long the command may take before it is killed.
        output_limit_bytes: How much of the command's output to return; the rest is dropped.
        environment: Variables in addition to PATH and `Workspace.agent_variables`.
        stdin: The file to use as standard input; None for no input.
        beside_agent: Whether the agent keeps running during the command. If not, all processes of the agent's user are
            killed when the command ends, because one of them could hold the output open or interfere with later
            commands.
    """
    base = {"PATH": os.environ.get("PATH", os.defpath), **workspace.agent_variables}
    return run_process(
        workspace.agent.argv(command),
        environment={**base, **(environment or {})},
        stdin=stdin,
        timeout_seconds=timeout_seconds,
        output_limit_bytes=output_limit_bytes,
        on_exit=None if beside_agent else workspace.agent.end_processes,
    )


def check(result: CommandResult, action: str) -> CommandResult:
    """Return the result of a command if the command succeeded; otherwise raise an error.

    Args:
        result: The command's result.
        action: What the command was meant to do; the error message puts it after "could not".

    Raises:
        DiskFull: The disk is full.
        CommandFailed: The command failed for another reason, or took too long.
    """
    if result.status == 0 and not result.is_timed_out:
        return result
    reason = result.stderr.strip() or "no output"
    raise disk_full_error(reason) or CommandFailed(f"could not {action}: exit status {result.status}: {reason[-2000:]}")

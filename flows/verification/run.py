"""Runs the verify commands one after the other, as the agent's user, and says how each of them ended."""

import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

from flows.errors import disk_full_error
from flows.sandbox.output import OutputLog
from flows.sandbox.shell import ScriptResult, run_script
from flows.sandbox.workspace import Workspace
from flows.text_safety import one_line
from flows.verification.baseline import Lines
from flows.verification.commands import VerifyCommands
from flows.verification.junit import mark_start, read_junit
from flows.verification.memory import killed_processes
from flows.verification.results import CommandResult, Verdict

OUTPUT_CHARACTERS: Final = 8_000
"""How much of the end of a command's output is kept."""

_OUTPUT_LINES: Final = 200
_NOT_FOUND: Final = 127
_KILLED: Final = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""The exit status of a shell that was killed, and of one whose command was."""


def run_commands(
    workspace: Workspace,
    commands: VerifyCommands,
    environment: Mapping[str, str],
    timeout_seconds: float,
    log: Callable[[str], None],
) -> tuple[CommandResult, ...]:
    """Run all commands in the work tree, even if one of them fails, and return their results in the same order.

    Args:
        workspace: The run's directories.
        commands: The commands, and the patterns of the JUnit files that they write.
        environment: All environment variables of the commands.
        timeout_seconds: How long each command may run; 0 for no limit.
        log: Called with each line of the output, and with each verdict.
    """
    return tuple(_run(workspace, command, commands.junit, environment, timeout_seconds, log)
                 for command in commands.commands)  # fmt: skip


def _run(
    workspace: Workspace,
    command: str,
    junit: tuple[str, ...],
    environment: Mapping[str, str],
    timeout_seconds: float,
    log: Callable[[str], None],
) -> CommandResult:
    log(f"verify: {one_line(command)}")
    output, lines, killed_before = OutputLog(log), Lines(), killed_processes()

    def on_output(data: bytes) -> None:
        output.write(data)
        lines.write(data)

    mark_start(workspace)
    started = time.monotonic()
    result = run_script(workspace, command, environment, timeout_seconds=timeout_seconds, on_output=on_output)
    seconds = time.monotonic() - started
    output.close()
    end = output.end(_OUTPUT_LINES, OUTPUT_CHARACTERS)
    lacked_memory = (killed_processes() or 0) > (killed_before or 0)
    verdict = _verdict(result, has_full_disk=workspace.disk_is_full or bool(disk_full_error(end)),
                       lacked_memory=lacked_memory)  # fmt: skip
    status = None if result.is_timed_out else result.status
    tests, unmatched = read_junit(workspace, junit, log)
    if verdict is Verdict.PASSED and tests and tests.failed:
        verdict = Verdict.FAILED  # a script may lose the status of its tests
    hashes = () if verdict is Verdict.PASSED else lines.hashes
    command_result = CommandResult(command, verdict, status, seconds, end, tests, hashes, unmatched)
    log(f"verify: {one_line(command)}: {verdict} ({_how(command_result)}, {seconds:.1f} s)")
    return command_result


def _verdict(result: ScriptResult, *, has_full_disk: bool, lacked_memory: bool) -> Verdict:
    """Return how a command ended. The causes other than the command itself are only looked for if it failed."""
    if result.status == 0 and not result.is_timed_out:
        return Verdict.PASSED
    if has_full_disk:
        return Verdict.OUT_OF_DISK
    if result.is_timed_out:
        return Verdict.TIMED_OUT
    if result.status in _KILLED and lacked_memory:
        return Verdict.OUT_OF_MEMORY
    return Verdict.NOT_FOUND if result.status == _NOT_FOUND else Verdict.FAILED


def _how(result: CommandResult) -> str:
    status = result.exit_status
    if status is None:
        return "ended at its time limit"
    return f"signal {-status}" if status < 0 else result.reason or "exit status 0"

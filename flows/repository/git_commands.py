"""Runs git with a safe configuration, in an environment that inherits no variables from the flow's process.

GitPython starts every git process that does not run as the agent, and passes all variables of the flow's process to it.
The command line therefore begins with `env -u …`, which removes these variables by their names, so that no value
appears on a command line. The safe settings come first on every command line, because a repository's own configuration
cannot be trusted.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, cast

from git import Git, RemoteProgress
from git.cmd import handle_process_output

from flows.errors import GitFailed, disk_full_error
from flows.sandbox.processes import CommandResult, track_process

_ISOLATED: Final = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_SAFE_CONFIG: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "gc.auto=0",
    "http.followRedirects=false",
    "protocol.allow=never",
)
_STDERR_LIMIT: Final = 2000
_TIMEOUT_SECONDS: Final = 3600


def isolated_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a complete environment for a git process: PATH, safe settings for git, and the variables in `extra`."""
    return {"PATH": os.environ.get("PATH", os.defpath), **_ISOLATED, **(extra or {})}


def command_line(arguments: Sequence[str], *, config: Sequence[str] = (), git_dir: Path | None = None) -> list[str]:
    """Return a git command line: `git`, the safe settings, those in `config`, the repository, and `arguments`."""
    options = [part for item in (*_SAFE_CONFIG, *config) for part in ("-c", item)]
    return ["git", *options, *([f"--git-dir={git_dir}"] if git_dir else []), *arguments]


def run_git(
    arguments: Sequence[str],
    *,
    config: Sequence[str] = (),
    git_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> CommandResult:
    """Run git as this process's own user, and return the result; raise `GitFailed` or `DiskFull` if git fails.

    Args:
        arguments: git's arguments.
        config: Settings in addition to the safe ones.
        git_dir: The repository; None for a command that needs none.
        environment: The whole environment of the process; None for the isolated one.
        stdin: The file to use as standard input; None for no input.
        timeout_seconds: How long the command may take before it is killed.
    """
    line = command_line(arguments, config=config, git_dir=git_dir)
    return check_git(execute_git(line, environment=environment, stdin=stdin, timeout_seconds=timeout_seconds))


def execute_git(
    line: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    progress: RemoteProgress | None = None,
    pass_fds: Sequence[int] = (),
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> CommandResult:
    """Run a git command line in a new process session, and return the result even if the command failed.

    Args:
        line: The command line.
        environment: The whole environment of the process; None for the isolated one.
        stdin: The file to use as standard input; None for no input.
        progress: Receives git's progress lines, if set. The result then has no standard output.
        pass_fds: File descriptors that the process inherits.
        timeout_seconds: How long the command may take before it is killed.
    """
    variables = isolated_environment() if environment is None else environment
    process = cast(
        "Git.AutoInterrupt",
        Git(os.sep).execute(
            ["env", *(part for name in os.environ if name not in variables for part in ("-u", name)), *line],
            env=variables,
            istream=stdin if stdin is not None else subprocess.DEVNULL,  # type: ignore[arg-type]
            as_process=True,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            # git ends progress lines with a carriage return, and only a text stream is split there.
            universal_newlines=progress is not None,
            errors="replace" if progress is not None else None,
        ),
    )
    stdout: list[bytes] = []
    stderr: list[str] = []
    on_progress = progress.new_message_handler() if progress is not None else None

    def read_error(line: str | bytes) -> None:
        text = line if isinstance(line, str) else line.decode("utf-8", "replace")
        stderr.append(text.rstrip("\r\n"))
        if on_progress is not None:
            on_progress(text)

    with track_process(process.proc):
        handle_process_output(
            process,
            None if progress is not None else stdout.append,
            read_error,
            decode_streams=False,
            kill_after_timeout=timeout_seconds,
        )
    status = process.proc.wait() if process.proc is not None else process.status or 0
    return CommandResult(status, b"".join(stdout), "\n".join(stderr)[-_STDERR_LIMIT:])


def check_git(result: CommandResult) -> CommandResult:
    """Return the result of a git command if the command succeeded; otherwise raise `GitFailed` or `DiskFull`."""
    if result.status == 0 and not result.is_timed_out:
        return result
    reason = result.stderr.strip()[-_STDERR_LIMIT:]
    raise disk_full_error(reason) or GitFailed(f"git ended with status {result.status}: {reason or 'no output'}")

"""Runs a shell script as the agent's user in the work tree, with the environment that the agent's own commands have."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from flows.sandbox.network import network_variables
from flows.sandbox.processes import kill_group, track_process
from flows.sandbox.workspace import Workspace

INHERITED_VARIABLES: Final = ("LANG", "TZ")
"""Variables besides PATH that the agent inherits unchanged from the flow's process."""

SHELL: Final = "/bin/bash"
_START: Final = 'cd "$0" && unset OLDPWD && exec "$@"'
"""Enters the work tree as the agent's user. If an earlier command removed it, the next one fails."""

_CHUNK_BYTES: Final = 2**18
_TICK_SECONDS: Final = 0.2
_DRAIN_SECONDS: Final = 5


@dataclass(frozen=True)
class ScriptResult:
    """How a script ended."""

    status: int
    """The exit status, or the negative number of the signal that ended the shell, as in `subprocess`."""
    is_timed_out: bool


def shell_environment(base: Mapping[str, str], host: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the agent's shell commands.

    Args:
        base: The variables of the agent's user, for the network and of `agent_environment`.
        host: The environment of the flow's process. Only PATH and `INHERITED_VARIABLES` are taken from it.
    """
    own_scripts = str(Path(sys.prefix) / "bin")
    folders = host.get("PATH", os.defpath).split(os.pathsep)
    return {
        **{name: host[name] for name in INHERITED_VARIABLES if name in host},
        **base,
        # Without this program's virtual environment, because its Python is not the repository's.
        "PATH": os.pathsep.join(folder for folder in folders if folder and folder != own_scripts),
        "LANG": host.get("LANG", "C.UTF-8"),
        "SHELL": SHELL,
        "CI": "true",
        "GIT_TERMINAL_PROMPT": "0",
    }


def agent_shell_environment(
    workspace: Workspace, secrets: Mapping[str, SecretStr], host: Mapping[str, str]
) -> dict[str, str]:
    """Return all variables of a shell command that runs as the agent's user, outside Claude Code.

    Args:
        workspace: The run's directories.
        secrets: The variables of `agent_environment`.
        host: The environment of the flow's process.
    """
    own = {name: value.get_secret_value() for name, value in secrets.items()}
    return shell_environment({**network_variables(workspace, host), **own, **workspace.agent_variables}, host)


def run_script(
    workspace: Workspace,
    script: str,
    environment: Mapping[str, str],
    *,
    timeout_seconds: float,
    on_output: Callable[[bytes], None],
) -> ScriptResult:
    """Run a script in the work tree until it ends, and end all processes of the agent's user.

    The first command that fails ends the script. Processes that the script leaves behind are killed with it.

    Args:
        workspace: The run's directories, and the user that the agent runs as.
        script: The text of the script, for bash.
        environment: All environment variables of the script.
        timeout_seconds: How long the script may run; 0 for no limit.
        on_output: Called with each part of the output, and with `b""` while there is none.
    """
    file = workspace.lend(workspace.config / "script.sh", f"{script}\n".encode())
    process = subprocess.Popen(
        workspace.agent.argv(["sh", "-c", _START, str(workspace.work_tree), SHELL, "-e", str(file)]),
        env=dict(environment),
        cwd=os.sep,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    with track_process(process), process.stdout as output:
        deadline = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
        try:
            has_ended = read_output(process, output.fileno(), deadline, on_output)
        finally:
            kill_group(process)
            workspace.agent.end_processes()
            status = process.wait()
        drain_output(output.fileno(), on_output)
    return ScriptResult(status, not has_ended)


def read_output(
    process: "subprocess.Popen[bytes]", descriptor: int, deadline: float, on_output: Callable[[bytes], None]
) -> bool:
    """Read the output until the process ends or the deadline passes; return whether the process ended."""
    is_open = True
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        if not is_open:
            time.sleep(_TICK_SECONDS)
            continue
        readable, _, _ = select.select([descriptor], [], [], _TICK_SECONDS)
        data = os.read(descriptor, _CHUNK_BYTES) if readable else b""
        is_open = bool(data) or not readable
        on_output(data)
    return True


def drain_output(descriptor: int, on_output: Callable[[bytes], None]) -> None:
    """Read what a process wrote last, for at most 5 s: a process that it left behind may hold the output open."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    while time.monotonic() < deadline and select.select([descriptor], [], [], _TICK_SECONDS)[0]:
        if not (data := os.read(descriptor, _CHUNK_BYTES)):
            return
        on_output(data)

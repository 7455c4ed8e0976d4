"""Runs the repository's services, such as a database, as a user that is neither the agent's nor the flow's.

So a service cannot write what Claude Code reads at its start, and the agent cannot write the service's files. Services
live until the context ends, because the end of the agent's processes does not affect another user.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flows.errors import ServiceFailed
from flows.sandbox.account import account
from flows.sandbox.guard import guard
from flows.sandbox.processes import CommandResult, run_process
from flows.sandbox.removal import remove_tree
from flows.sandbox.service_process import ServiceProcess
from flows.sandbox.shell import SHELL, shell_environment
from flows.sandbox.sockets import Socket, listening_sockets
from flows.sandbox.user import MARK, AgentUser, agent_user, end_processes_of_killed_runs, is_claimed
from flows.sandbox.workspace import Workspace

ACCOUNT: Final = "service"
FOLDER_VARIABLE: Final = "SERVICE_FOLDER"
TEMPORARY: Final = ".tmp"
HEALTH_TIMEOUT_SECONDS: Final = 60
_ATTEMPT_SECONDS: Final = 10
_FIRST_ATTEMPT_SECONDS: Final = 2
_POLL_SECONDS: Final = 0.2
_OUTPUT_BYTES: Final = 2**16
_SHOWN_CHARACTERS: Final = 500


@dataclass(frozen=True)
class Service:
    """A program that runs beside the agent, from the repository's file of settings."""

    name: str
    command: str
    health: str
    """The shell command that succeeds as soon as the service can be used."""
    health_timeout_seconds: int = HEALTH_TIMEOUT_SECONDS


@dataclass
class Services:
    """The services of one run. `start` starts them, and the end of `run_services` ends them."""

    services: tuple[Service, ...] = ()
    user: AgentUser = field(default_factory=lambda: AgentUser(None, ""))
    folder: Path = Path(os.devnull)
    environment: Mapping[str, str] = field(default_factory=dict)
    _processes: dict[str, ServiceProcess] = field(default_factory=dict)
    _sockets: dict[str, list[Socket]] = field(default_factory=dict)
    _is_ready: bool = False
    _log: Callable[[str], None] = print
    _warn: Callable[[str], None] = print

    def create_folder(self) -> None:
        """Create the folder with everything in it, before a service runs.

        Later, only the services' user may write there: a service could put a link in the place of a folder that the
        flow's process is about to give away.
        """
        self.folder.mkdir(mode=0o700)
        for name in (TEMPORARY, *(service.name for service in self.services)):
            (self.folder / name).mkdir(mode=0o700)
        self.user.give(self.folder)

    def start(self, log: Callable[[str], None], warn: Callable[[str], None]) -> None:
        """Start the services one after the other, each when the one before it is healthy.

        Args:
            log: Called with each line of a service's output.
            warn: Called with a text when a service ends by itself, after all of them have become healthy.

        Raises:
            ServiceFailed: A service ended, did not become healthy, or can be reached from other machines.
        """
        self._log, self._warn = log, warn
        if self.user.uid is not None:
            end_processes_of_killed_runs()

        def on_end(text: str) -> None:
            if self._is_ready:
                warn(text)

        for service in self.services:
            try:
                self._start(service, log, on_end)
            except OSError as error:
                raise _failed(service.name, f"cannot be started ({error}): correct its command") from None
            log(f"{self._description(service.name)}: healthy")
        self.check()
        self._is_ready = True

    def restart(self) -> None:
        """End the services, and start them again with empty folders; do nothing without services."""
        if not self.services:
            return
        self._is_ready = False
        self.stop()
        self._processes.clear()
        self._sockets.clear()
        remove_tree(self.folder)
        self.create_folder()
        self.start(self._log, self._warn)

    def check(self) -> None:
        """Raise `ServiceFailed` if a service has ended, or if one can be reached from other machines."""
        for name, process in self._processes.items():
            if process.has_ended:
                raise _failed(name, process.failure)
        self._check_addresses(" or ".join(self._processes))

    @property
    def summary(self) -> str:
        """The services with their addresses, such as `redis (127.0.0.1:6379)`; empty without services."""
        return ", ".join(self._description(service.name) for service in self.services)

    def stop(self) -> None:
        """Kill all processes of the services."""
        for process in self._processes.values():
            process.is_stopping = True
        self.user.end_processes()
        for process in self._processes.values():
            process.join()
        self.user.remove_leftover_files()

    def _start(self, service: Service, log: Callable[[str], None], warn: Callable[[str], None]) -> None:
        folder = self.folder / service.name
        if _is_healthy(self._try_health(service, _FIRST_ATTEMPT_SECONDS)):
            raise _failed(
                service.name,
                "cannot be told from another process: its health command already succeeds before the service is "
                "started. Use a port that no other run on this machine uses, or a command that fails without the "
                "service",
            )
        command = self.user.argv([SHELL, "-e", "-c", service.command])
        process = ServiceProcess(service.name, command, self._variables(service), folder, log, warn)
        self._processes[service.name] = process
        process.start()
        self._wait_until_healthy(service, process)
        self._sockets[service.name] = self._check_addresses(service.name)

    def _wait_until_healthy(self, service: Service, process: ServiceProcess) -> None:
        deadline = time.monotonic() + service.health_timeout_seconds
        while True:
            result = self._try_health(service, min(_ATTEMPT_SECONDS, max(1, deadline - time.monotonic())))
            if process.has_ended:
                raise _failed(service.name, process.failure)
            if _is_healthy(result):
                return
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        seconds = service.health_timeout_seconds
        raise _failed(
            service.name,
            f"was not healthy within {seconds} seconds: correct it or its health command, or raise its "
            f"health_timeout_seconds. {_health_output(result)} {process.last_lines}",
        )

    def _try_health(self, service: Service, seconds: float) -> CommandResult:
        return run_process(
            self.user.argv([SHELL, "-e", "-c", service.health]),
            environment=self._variables(service),
            cwd=str(self.folder / service.name),
            timeout_seconds=seconds,
            output_limit_bytes=_OUTPUT_BYTES,
        )

    def _variables(self, service: Service) -> dict[str, str]:
        return {**self.environment, FOLDER_VARIABLE: str(self.folder / service.name)}

    def _check_addresses(self, name: str) -> list[Socket]:
        """Return the new sockets on which the services listen; raise `ServiceFailed` if one is not on loopback.

        Without a user of their own, their sockets cannot be told from others of this user, and none is returned.
        """
        if self.user.uid is None:
            return []
        sockets = listening_sockets(self.user.uid)
        if others := [str(socket) for socket in sockets if not socket.is_loopback]:
            raise _failed(
                name,
                f"listens on {', '.join(others)}, which other machines may reach: have it listen on 127.0.0.1, for "
                "example with --bind 127.0.0.1",
            )
        earlier = {socket for sockets_of_one in self._sockets.values() for socket in sockets_of_one}
        return [socket for socket in sockets if socket not in earlier]

    def _description(self, name: str) -> str:
        addresses = ", ".join(str(socket) for socket in self._sockets.get(name, ()))
        return f"{name} ({addresses})" if addresses else name


@contextmanager
def run_services(workspace: Workspace, services: tuple[Service, ...], host: Mapping[str, str]) -> Iterator[Services]:
    """Yield the services, with a user and a folder for them. At the end, kill them and remove the folder.

    Args:
        workspace: The run's directories. The services' folder is among them.
        services: The services, in the order in which they start.
        host: The environment of the flow's process. `shell_environment` takes a few variables from it.
    """
    if not services:
        yield Services()
        return
    folder = workspace.services
    with (
        agent_user(mark=f"{workspace.agent.mark}/services") as user,
        account(user.uid, folder, is_claimed, name=ACCOUNT) as own_account,
        guard(user),
    ):
        directories = {"HOME": str(folder), "TMPDIR": str(folder / TEMPORARY)}
        own = {**directories, MARK: user.mark, **own_account.variables(folder)}
        running = Services(services, user, folder, shell_environment(own, host))
        running.create_folder()
        try:
            yield running
        finally:
            running.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _is_healthy(result: CommandResult) -> bool:
    return result.status == 0 and not result.is_timed_out


def _health_output(result: CommandResult) -> str:
    output = f"{result.stdout.decode('utf-8', 'replace')}{result.stderr}".strip()[-_SHOWN_CHARACTERS:]
    if result.is_timed_out:
        return "Its health command did not end."
    ended = f"Its health command ended with exit status {result.status}"
    return f"{ended} and printed: {output}." if output else f"{ended}."


def _failed(name: str, reason: str) -> ServiceFailed:
    return ServiceFailed(
        f"the service {name} {reason}\nThe agent was not started. To try the services, run python -m flows setup"
    )

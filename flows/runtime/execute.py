"""`python -m flows.runtime.execute [id]` does the same as `prefect flow-run execute`, but imports Prefect only once.

Prefect's command imports Prefect three times: in its own process, and in a second one, which prepares a workspace and
then replaces itself by a third program, the engine. In this module the engine is a fork of the first process, made
before that process has any thread or connection. Everything else is Prefect's own code: the supervisor watches for a
cancellation, hands the run back to the server on SIGTERM, and reports a crashed engine.
"""

import asyncio
import json
import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flows.runtime import engine
from flows.runtime.startup import importing

if TYPE_CHECKING:
    import anyio.abc
    from prefect.client.schemas.objects import FlowRun
    from prefect.runner._control_channel import ControlChannel
    from prefect.runner._hook_runner import HookRunner

_RECEIVE_BYTES: Final = 2**16


@dataclass
class _Engine:
    """The engine's process, with the interface of `anyio.abc.Process` that Prefect's supervisor uses."""

    pid: int
    connection: socket.socket
    returncode: int | None = None

    def start(self, variables: dict[str, str]) -> None:
        """Let the forked engine begin: send it the environment variables that it needs to reach its supervisor."""
        self.connection.sendall(json.dumps(variables).encode())
        self.connection.close()

    async def wait(self) -> int:
        """Wait until the process has ended, and return its exit status, which is negative if a signal ended it."""
        _, status = await asyncio.to_thread(os.waitpid, self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class ForkedEngineStarter:
    """Starts the forked engine. Replaces Prefect's `WorkspaceResolvingEngineCommandStarter`; has the same interface."""

    engine: _Engine

    def __init__(self, *, control_channel: "ControlChannel", **_: Any) -> None:  # noqa: ANN401 (Prefect's own)
        self._control_channel = control_channel

    @property
    def hook_runner(self) -> "HookRunner":
        """The object that runs the flow's hooks after a cancellation or a crash."""
        from prefect.flows import load_flow_from_flow_run  # noqa: PLC0415 (seldom needed)
        from prefect.runner._hook_runner import HookRunner  # noqa: PLC0415

        return HookRunner(resolve_flow=load_flow_from_flow_run)

    def close(self) -> None:
        """Do nothing, because this starter creates no workspace to remove."""

    async def start(self, flow_run: "FlowRun", task_status: "anyio.abc.TaskStatus[Any]") -> None:
        """Let the engine begin, report its process to Prefect, and return when the engine has ended."""
        from prefect.runner._process_manager import ProcessHandle, create_isolated_termination_scope  # noqa: PLC0415

        port, token = self._control_channel.register(flow_run.id)
        self.engine.start({
            "PREFECT__FLOW_RUN_ID": str(flow_run.id),
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
            "PREFECT__CONTROL_PORT": str(port),
            "PREFECT__CONTROL_TOKEN": token,
        })  # fmt: skip
        scope = create_isolated_termination_scope(self.engine.pid)
        task_status.started(ProcessHandle(self.engine, termination_scope=scope))  # type: ignore[arg-type]
        await self.engine.wait()


def main() -> None:
    """Fork the engine and supervise it. The command's argument or PREFECT__FLOW_RUN_ID is the id of the flow run."""
    if len(sys.argv) > 1:
        os.environ["PREFECT__FLOW_RUN_ID"] = sys.argv[1]
    engine.prepare_environment()
    with importing():  # both processes share the memory of objects that are never collected
        import prefect.flow_engine  # noqa: F401, PLC0415
    supervisor_end, engine_end = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        supervisor_end.close()
        _run_engine(engine_end)
    engine_end.close()
    ForkedEngineStarter.engine = _Engine(pid, supervisor_end)
    from prefect.cli import flow_run  # noqa: PLC0415 (only the supervisor needs it)

    flow_run.WorkspaceResolvingEngineCommandStarter = ForkedEngineStarter  # type: ignore[assignment, attr-defined]
    asyncio.run(flow_run.execute())


def _run_engine(connection: socket.socket) -> None:
    os.setsid()  # a signal to the supervisor's process group must not reach the engine before the supervisor's message
    engine.load()  # while the supervisor gets ready
    variables = b"".join(iter(lambda: connection.recv(_RECEIVE_BYTES), b""))
    connection.close()
    if not variables:
        sys.exit(0)  # the supervisor ended without starting the engine
    os.environ.update(json.loads(variables))
    del sys.argv[1:]
    engine.run()
    sys.exit(0)


if __name__ == "__main__":
    main()

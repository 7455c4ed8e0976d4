"""`python -m flows.runtime.execute [id]`: `prefect flow-run execute`, importing Prefect once, not three times.

Prefect's command starts a second process, which prepares a workspace, and turns that into a third, which is the engine.
Here the engine is a fork of the first, taken before there is a thread or a connection. All else is Prefect's own: the
supervisor that watches for a cancellation, hands the run back on SIGTERM, and reports an engine that died.
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

_BEGIN_BYTES: Final = 2**16


@dataclass
class _Engine:
    """The engine's process, as anyio's processes are spoken to."""

    pid: int
    begin: socket.socket
    returncode: int | None = None

    def start(self, variables: dict[str, str]) -> None:
        """Let it begin, with what it needs to talk to its supervisor."""
        self.begin.sendall(json.dumps(variables).encode())
        self.begin.close()

    async def wait(self) -> int:
        """Return its exit status, or less than nothing for a signal, when it has ended."""
        _, status = await asyncio.to_thread(os.waitpid, self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class ForkedEngineStarter:
    """In the place of Prefect's own starter, whose signature it has."""

    engine: _Engine

    def __init__(self, *, control_channel: "ControlChannel", **_: Any) -> None:  # noqa: ANN401 (Prefect's own)
        self._control_channel = control_channel

    @property
    def hook_runner(self) -> "HookRunner":
        """Runs the flow's hooks of a cancellation or a crash."""
        from prefect.flows import load_flow_from_flow_run  # noqa: PLC0415 (seldom needed)
        from prefect.runner._hook_runner import HookRunner  # noqa: PLC0415

        return HookRunner(resolve_flow=load_flow_from_flow_run)

    def close(self) -> None:
        """There is no workspace to remove."""

    async def start(self, flow_run: "FlowRun", task_status: "anyio.abc.TaskStatus[Any]") -> None:
        """Let the engine begin, and return when it has ended."""
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
    """Fork the engine of the run that the argument or PREFECT__FLOW_RUN_ID names, and supervise it."""
    if len(sys.argv) > 1:
        os.environ["PREFECT__FLOW_RUN_ID"] = sys.argv[1]
    engine.prepare_environment()
    with importing():  # for both processes; what is not collected they go on to share
        import prefect.flow_engine  # noqa: F401, PLC0415
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_the_engine(theirs)
    theirs.close()
    ForkedEngineStarter.engine = _Engine(pid, ours)
    _supervise()


def _be_the_engine(begin: socket.socket) -> None:
    os.setsid()  # so that a signal to the supervisor's group does not overtake the supervisor's word
    engine.load()  # while the supervisor gets ready
    variables = b"".join(iter(lambda: begin.recv(_BEGIN_BYTES), b""))
    begin.close()
    if not variables:
        sys.exit(0)  # the supervisor had no use for it
    os.environ.update(json.loads(variables))
    del sys.argv[1:]
    engine.run()
    sys.exit(0)


def _supervise() -> None:
    from prefect.cli import flow_run  # noqa: PLC0415 (the engine does without)

    flow_run.WorkspaceResolvingEngineCommandStarter = ForkedEngineStarter  # type: ignore[assignment, attr-defined]
    asyncio.run(flow_run.execute())


if __name__ == "__main__":
    main()

"""Serves the deployments implement/local, deliver/local and follow_up/local until the process is interrupted."""

import os
from typing import TYPE_CHECKING, Final, cast

import typer
from prefect import serve
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType

from deployments.cli.prefect_api import prefect_api
from deployments.cli.refusals import refusals
from deployments.cli.terminal import console
from flows.deliver import deliver
from flows.follow_up import follow_up
from flows.implement import implement

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

_SERVED: Final = (implement, deliver, follow_up)
_HEARTBEAT: Final = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"


def main() -> None:
    """Serve the deployments implement/local, deliver/local and follow_up/local until you press Ctrl-C.

    PREFECT_API_URL or your Prefect profile names the Prefect server. Start runs with the form in the server's UI, or
    with: prefect deployment run implement/local -p repo_url=… -p instructions_s3_uri=…
    """
    with refusals(), prefect_api():
        pass  # without a configured server, Prefect would start a temporary one that no other process can reach
    api = get_current_settings()
    address = api.ui_url or (api.api.url or "").removesuffix("/api")
    names = ", ".join(f"{flow.name}/local" for flow in _SERVED)
    console().print(f"serving {names} for the Prefect server {address} until you press Ctrl-C", soft_wrap=True)
    # In seconds; the automation that detects lost runs waits for three missing heartbeats.
    os.environ.setdefault(_HEARTBEAT, "30")
    deployments = [
        flow.to_deployment("local", tags=["claude-code"], entrypoint_type=EntrypointType.MODULE_PATH)
        for flow in _SERVED
    ]
    serve(*(cast("RunnerDeployment", deployment) for deployment in deployments), print_starting_message=False)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m deployments.local.serve")

"""Serves the deployments `implement/local` and `deliver/local` from this process, until it is interrupted."""

import os
from typing import TYPE_CHECKING, Final, cast

from prefect import serve
from prefect.types.entrypoint import EntrypointType

from flows.deliver import deliver
from flows.implement import implement

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

_HEARTBEAT: Final = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"

if __name__ == "__main__":
    os.environ.setdefault(_HEARTBEAT, "30")  # seconds; what finds lost runs waits for three
    deployments = [
        flow.to_deployment("local", tags=["claude-code"], entrypoint_type=EntrypointType.MODULE_PATH)
        for flow in (implement, deliver)
    ]
    serve(*(cast("RunnerDeployment", made) for made in deployments), print_starting_message=False)

"""Serves the deployments `implement/local` and `deliver/local` from this process, until it is interrupted."""

from typing import TYPE_CHECKING, cast

from prefect import serve
from prefect.types.entrypoint import EntrypointType

from flows.deliver import deliver
from flows.implement import implement

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

if __name__ == "__main__":
    deployments = [
        flow.to_deployment("local", tags=["claude-code"], entrypoint_type=EntrypointType.MODULE_PATH)
        for flow in (implement, deliver)
    ]
    serve(*(cast("RunnerDeployment", made) for made in deployments), print_starting_message=False)

"""Serves the deployment `implement/local` from this process, until it is interrupted."""

from typing import TYPE_CHECKING, cast

from prefect import serve
from prefect.types.entrypoint import EntrypointType

from flows.implement import implement

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

if __name__ == "__main__":
    deployment = implement.to_deployment("local", entrypoint_type=EntrypointType.MODULE_PATH)
    serve(cast("RunnerDeployment", deployment), print_starting_message=False)

"""Serves the deployment `implement/local` from this process, until it is interrupted."""

from prefect import serve
from prefect.deployments.runner import EntrypointType

from flows.implement import implement

if __name__ == "__main__":
    serve(implement.to_deployment("local", entrypoint_type=EntrypointType.MODULE_PATH), print_starting_message=False)

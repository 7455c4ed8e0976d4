"""The job variables of a run: those of its work pool, its deployment, and its own."""

from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse


def merge_variables(pool: WorkPool, deployment: DeploymentResponse, job_variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job variables of the pool, the deployment and the run. Later ones override earlier ones.

    Only `env` is merged: it has the environment variables of all three.
    """
    properties = pool.base_job_template["variables"]["properties"]
    defaults = {name: value["default"] for name, value in properties.items() if "default" in value}
    env = [layer.get("env") or {} for layer in (defaults, deployment.job_variables, job_variables)]
    return {**defaults, **deployment.job_variables, **job_variables, "env": {**env[0], **env[1], **env[2]}}

"""Whether ECS accepts a task's overrides, checked before a run is submitted rather than after.

The worker puts a run's environment variables and command into RunTask's `overrides`: AWS takes 8,192 characters
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html). The flow's parameters are not among them:
the task fetches those from the Prefect API, which takes 512 KiB.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import Flow, FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import get_current_settings
from prefect.utilities.templating import apply_values
from prefect_aws.workers.ecs_worker import ECSJobConfiguration

from deployments.cli.errors import OverridesTooLarge, ParametersTooLarge

OVERRIDES_CHARACTERS: Final = 8192
_OURS_ALREADY: Final = {
    "INSTRUCTIONS": "upload the text to S3 and give --instructions s3://…",
    "CLAUDE_SETTINGS": "give --param claude_settings=…, since parameters do not travel this way",
}


def check_overrides(
    prefect: SyncPrefectClient, deployment: DeploymentResponse, job_variables: Mapping[str, Any]
) -> int:
    """Return the length of the overrides; raise `OverridesTooLarge`, which names the variable to move."""
    overrides = _overrides(prefect, deployment, job_variables)
    length = len(json.dumps(overrides))
    if length <= OVERRIDES_CHARACTERS:
        return length
    environment = overrides["containerOverrides"][0]["environment"]
    largest = max(environment, key=lambda pair: len(json.dumps(pair)))["name"]
    size = next(len(pair["value"]) for pair in environment if pair["name"] == largest)
    advice = _OURS_ALREADY.get(largest, "put it into an object in S3 or a secret, and pass its name")
    raise OverridesTooLarge(
        f"the run's environment and command are {length:,} characters and ECS takes {OVERRIDES_CHARACTERS:,}: "
        f"the variable {largest} has {size:,} of them; {advice}"
    )


def _overrides(
    prefect: SyncPrefectClient, deployment: DeploymentResponse, job_variables: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a worker with the settings of this process would send."""
    pool = prefect.read_work_pool(str(deployment.work_pool_name))
    variables = _merged(pool, deployment, job_variables)
    job = apply_values(pool.base_job_template["job_configuration"], variables)
    overrides = job["task_run_request"]["overrides"]
    container = overrides["containerOverrides"][0]
    configuration = _prepared(deployment, pool, job)
    container["environment"] = [{"name": n, "value": str(v)} for n, v in configuration.env.items() if v is not None]
    container["command"] = (configuration.command or "").split()
    return dict(overrides)


def _merged(pool: WorkPool, deployment: DeploymentResponse, job_variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pool's, the deployment's and the run's variables; the later ones win, and their env is one."""
    properties = pool.base_job_template["variables"]["properties"]
    defaults = {name: value["default"] for name, value in properties.items() if "default" in value}
    env = [layer.get("env") or {} for layer in (defaults, deployment.job_variables, job_variables)]
    return {**defaults, **deployment.job_variables, **job_variables, "env": {**env[0], **env[1], **env[2]}}


def _prepared(deployment: DeploymentResponse, pool: WorkPool, job: dict[str, Any]) -> ECSJobConfiguration:
    """Let Prefect add its own variables: the run's id, the API's address and more."""
    configuration = ECSJobConfiguration(
        env=job.get("env", {}), task_definition={"containerDefinitions": [{"name": "prefect"}]}
    )
    run = FlowRun(id=uuid4(), name="a name of middling length", flow_id=deployment.flow_id, deployment_id=deployment.id)
    flow = Flow(id=deployment.flow_id, name="implement", labels={})
    worker = f"ECSWorker {uuid4()}"
    configuration.prepare_for_flow_run(run, deployment, flow, pool, worker, worker_id=uuid4())
    return configuration


def check_size(parameters: Mapping[str, Any]) -> None:
    """Raise `ParametersTooLarge`, with the name of the largest parameter, if Prefect would not accept them."""
    limit = get_current_settings().server.api.max_parameter_size
    sizes = {name: len(json.dumps(value).encode()) for name, value in parameters.items()}
    if not limit or sum(sizes.values()) <= limit:
        return
    largest = max(sizes, key=lambda name: sizes[name])
    advice = "upload the text to S3 and give --instructions s3://…" if largest == "instructions" else "shorten it"
    raise ParametersTooLarge(
        f"the parameters are {sum(sizes.values()):,} bytes and Prefect takes {limit:,}: "
        f"{largest} has {sizes[largest]:,} of them; {advice}"
    )

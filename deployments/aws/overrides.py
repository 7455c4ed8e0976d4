"""Checks, before a run starts, that its environment is not too large for ECS, nor its parameters for Prefect.

The worker puts a run's environment variables and command into the `overrides` of RunTask, which AWS limits to 8,192
characters (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html). The flow's parameters are not
part of the overrides: the task fetches them from the Prefect API, which accepts 512 KiB of parameters.
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
from deployments.prefect.job import merge_variables

OVERRIDES_CHARACTERS: Final = 8192
_ADVICE: Final = {
    "INSTRUCTIONS": "upload the text to S3 and give --instructions s3://…",
    "CLAUDE_SETTINGS": "give --param claude_settings=…, because parameters are not part of the overrides",
}


def check_overrides(
    prefect: SyncPrefectClient, deployment: DeploymentResponse, job_variables: Mapping[str, Any]
) -> int:
    """Return how many characters the RunTask overrides of a run would have.

    Raises:
        OverridesTooLarge: The overrides are longer than ECS accepts. The message names the longest variable.
    """
    overrides = _overrides(prefect, deployment, job_variables)
    length = len(json.dumps(overrides))
    if length <= OVERRIDES_CHARACTERS:
        return length
    environment = overrides["containerOverrides"][0]["environment"]
    largest = max(environment, key=lambda pair: len(json.dumps(pair)))["name"]
    size = next(len(pair["value"]) for pair in environment if pair["name"] == largest)
    advice = _ADVICE.get(largest, "put it into an object in S3 or a secret, and pass its name")
    raise OverridesTooLarge(
        f"the run's environment and command have {length:,} characters, but ECS accepts only {OVERRIDES_CHARACTERS:,}: "
        f"the variable {largest} has {size:,} of them; {advice}"
    )


def _overrides(
    prefect: SyncPrefectClient, deployment: DeploymentResponse, job_variables: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the RunTask overrides that a worker with the Prefect settings of this process would send for the run."""
    pool = prefect.read_work_pool(str(deployment.work_pool_name))
    variables = merge_variables(pool, deployment, job_variables)
    job = apply_values(pool.base_job_template["job_configuration"], variables)
    overrides = job["task_run_request"]["overrides"]
    container = overrides["containerOverrides"][0]
    configuration = _prepare_configuration(deployment, pool, job)
    container["environment"] = [{"name": n, "value": str(v)} for n, v in configuration.env.items() if v is not None]
    container["command"] = (configuration.command or "").split()
    return dict(overrides)


def _prepare_configuration(deployment: DeploymentResponse, pool: WorkPool, job: dict[str, Any]) -> ECSJobConfiguration:
    """Return the job configuration with the variables that Prefect adds, such as the run's id and the API's URL."""
    configuration = ECSJobConfiguration(
        env=job.get("env", {}), task_definition={"containerDefinitions": [{"name": "prefect"}]}
    )
    run = FlowRun(id=uuid4(), name="a name of ordinary length", flow_id=deployment.flow_id, deployment_id=deployment.id)
    flow = Flow(id=deployment.flow_id, name="implement", labels={})
    worker = f"ECSWorker {uuid4()}"
    configuration.prepare_for_flow_run(run, deployment, flow, pool, worker, worker_id=uuid4())
    return configuration


def check_size(parameters: Mapping[str, Any]) -> None:
    """Raise `ParametersTooLarge`, which names the largest parameter, if the parameters are too large for Prefect."""
    limit = get_current_settings().server.api.max_parameter_size
    sizes = {name: len(json.dumps(value).encode()) for name, value in parameters.items()}
    if not limit or sum(sizes.values()) <= limit:
        return
    largest = max(sizes, key=lambda name: sizes[name])
    advice = "upload the text to S3 and give --instructions s3://…" if largest == "instructions" else "shorten it"
    raise ParametersTooLarge(
        f"the parameters have {sum(sizes.values()):,} bytes, but Prefect accepts only {limit:,}: "
        f"{largest} has {sizes[largest]:,} of them; {advice}"
    )

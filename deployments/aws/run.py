"""Checks a request for a run completely, and then starts the run of a deployment, such as `follow_up/ecs`."""

from dataclasses import dataclass, field
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from deployments.aws.account import Account
from deployments.aws.overrides import check_overrides, check_size
from deployments.cli.errors import DeploymentMissing, UnknownCluster
from deployments.prefect.fargate import check_task_size
from deployments.prefect.job import merge_variables
from deployments.prefect.pool import ECS_POOL
from deployments.prefect.run_parameters import check_parameters
from flows.aws.session import client_config

ON_DEMAND = [{"capacityProvider": "FARGATE", "base": 0, "weight": 1}]


@dataclass(frozen=True)
class RunRequest:
    """A request to start a run: the deployment's name, the run's parameters, and job variables for this run only."""

    deployment: str
    parameters: dict[str, Any]
    job_variables: dict[str, Any] = field(default_factory=dict)


def check_request(prefect: SyncPrefectClient, account: Account, request: RunRequest) -> tuple[DeploymentResponse, int]:
    """Check that the run could start. Return its deployment, and the length of its RunTask overrides in characters.

    The length is 0 for a deployment that does not run on ECS.

    Raises:
        Refused: The run could not start; the class of the error says why.
    """
    check_size(request.parameters)
    check_parameters(request.parameters, request.deployment.partition("/")[0])
    try:
        deployment = prefect.read_deployment_by_name(request.deployment)
    except ObjectNotFound:
        raise DeploymentMissing(
            f"there is no deployment {request.deployment}: run python -m deployments pool"
        ) from None
    if deployment.work_pool_name != ECS_POOL:
        return deployment, 0
    check_task_size(merge_variables(prefect.read_work_pool(ECS_POOL), deployment, request.job_variables))
    _check_cluster(account)
    return deployment, check_overrides(prefect, deployment, request.job_variables)


def _check_cluster(account: Account) -> None:
    ecs = account.session.client("ecs", config=client_config())
    clusters = ecs.describe_clusters(clusters=[account.project])["clusters"]
    if not any(cluster["status"] == "ACTIVE" for cluster in clusters):
        raise UnknownCluster(
            f"there is no active cluster {account.project} in {account.region}: run python -m deployments pool"
        )


def start(prefect: SyncPrefectClient, deployment: DeploymentResponse, request: RunRequest) -> tuple[str, str]:
    """Create the run on the Prefect server; return its name and the address of its page in Prefect's UI."""
    run = prefect.create_flow_run_from_deployment(
        deployment.id, parameters=request.parameters, job_variables=request.job_variables
    )
    return run.name, url_for("flow-run", run.id) or str(run.id)

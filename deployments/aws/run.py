"""A run of the deployment `implement/ecs`, which is checked completely before it is submitted."""

import json
from dataclasses import dataclass, field
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for
from pydantic import ValidationError

from deployments.aws.account import Account
from deployments.aws.overrides import check_overrides, check_parameters
from deployments.cli.errors import DeploymentMissing, InvalidParameter, UnknownCluster
from deployments.prefect.pool import ECS_POOL
from flows.aws.session import client_config
from flows.errors import RunError
from flows.implement import implement
from flows.parameters.implement import check_before_run

ON_DEMAND = [{"capacityProvider": "FARGATE", "base": 0, "weight": 1}]


@dataclass(frozen=True)
class RunRequest:
    """A request for a run: the deployment, the run's parameters, and its own job variables."""

    deployment: str
    parameters: dict[str, Any]
    job_variables: dict[str, Any] = field(default_factory=dict)


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """Split texts of the form NAME=VALUE; raise `InvalidParameter` for any other text."""
    split = [text.partition("=") for text in texts]
    for name, equals, _ in split:
        if not name or not equals:
            raise InvalidParameter(f"{option} {name!r} is not NAME=VALUE")
    return {name: value for name, _, value in split}


def as_json(text: str) -> Any:  # noqa: ANN401 (any JSON)
    """Parse a value as JSON; return the text itself if it is not JSON, as `prefect deployment run` does."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_request(prefect: SyncPrefectClient, account: Account, request: RunRequest) -> tuple[DeploymentResponse, int]:
    """Return the deployment and the length of the overrides; raise a named error if the run could not start."""
    check_parameters(request.parameters)
    _check_flow_parameters(request.parameters)
    try:
        deployment = prefect.read_deployment_by_name(request.deployment)
    except ObjectNotFound:
        raise DeploymentMissing(f"there is no deployment {request.deployment}: python -m deployments pool") from None
    if deployment.work_pool_name != ECS_POOL:
        return deployment, 0
    _check_cluster(account)
    return deployment, check_overrides(prefect, deployment, request.job_variables)


def _check_flow_parameters(parameters: dict[str, Any]) -> None:
    if unknown := parameters.keys() - implement.parameters.properties.keys():
        raise InvalidParameter(f"the flow has no parameter {min(unknown)!r}")
    try:
        check_before_run(parameters)
    except RunError as error:
        raise InvalidParameter(f"{type(error).__name__}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidParameter(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def _check_cluster(account: Account) -> None:
    ecs = account.session.client("ecs", config=client_config())
    clusters = ecs.describe_clusters(clusters=[account.project])["clusters"]
    if not any(cluster["status"] == "ACTIVE" for cluster in clusters):
        raise UnknownCluster(
            f"there is no active cluster {account.project} in {account.region}: python -m deployments pool"
        )


def start(prefect: SyncPrefectClient, deployment: DeploymentResponse, request: RunRequest) -> tuple[str, str]:
    """Create the run on the Prefect server; return its name and its address in Prefect's UI."""
    run = prefect.create_flow_run_from_deployment(
        deployment.id, parameters=request.parameters, job_variables=request.job_variables
    )
    return run.name, url_for("flow-run", run.id) or str(run.id)

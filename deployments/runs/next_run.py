"""A run executed again: continued from its saved state, or repeated from its beginning, with changed parameters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry

from deployments.cli.errors import DeploymentMissing, InvalidParameter, RunsNotOver
from deployments.prefect.run_parameters import changed, pairs
from deployments.runs.flow_runs import is_finished

if TYPE_CHECKING:
    from prefect.client.schemas import OrchestrationResult

_FLOW: Final = "implement"
_SAVED_WITH_THE_PLAN: Final = frozenset(
    {"repo_url", "instructions", "instructions_s3_uri", "base_branch", "branch_name", "clone_depth"}
)
"""Parameters that have no effect on a run whose plan is saved."""


def find_run(prefect: SyncPrefectClient, flow_run_id: str) -> FlowRun:
    """Return a finished run of `implement` that has a deployment.

    Raises:
        InvalidParameter: The server does not know the run, or it is a run of another flow.
        RunsNotOver: It is not finished.
        DeploymentMissing: It has no deployment, so that nothing would execute it.
    """
    try:
        flow_run = prefect.read_flow_run(UUID(flow_run_id))
    except (ValueError, ObjectNotFound):
        raise InvalidParameter(f"there is no flow run {flow_run_id!r} on this Prefect server") from None
    flow_name = prefect.read_flow(flow_run.flow_id).name
    if flow_name != _FLOW:
        raise InvalidParameter(f"{flow_run.name} is a run of {flow_name}, not of {_FLOW}")
    if not is_finished(flow_run):
        raise RunsNotOver(f"{flow_run.name} is {flow_run.state_name}: wait for its end, or cancel it first")
    if flow_run.deployment_id is None:
        raise DeploymentMissing(
            f"{flow_run.name} was started without a deployment, so that nothing would execute it: start it again as "
            "it was started"
        )
    return flow_run


def continue_run(prefect: SyncPrefectClient, flow_run: FlowRun, settings: Sequence[str]) -> None:
    """Have a run executed again from where it stopped, as *Retry* in Prefect's UI does, with changed parameters.

    Raises:
        InvalidParameter: The run completed, a parameter is wrong, or it has no effect on a run that was begun.
    """
    if flow_run.state and flow_run.state.is_completed():
        raise InvalidParameter(f"{flow_run.name} completed, so that nothing is left to continue: repeat it instead")
    names = {path.partition(".")[0] for path in pairs(settings, "--set")}
    if fixed := sorted(names & _SAVED_WITH_THE_PLAN):
        raise InvalidParameter(
            f"a continued run keeps its {', '.join(fixed)}: set it with `runs repeat`, which starts from the beginning"
        )
    if settings:
        prefect.update_flow_run(flow_run.id, parameters=changed(flow_run.parameters, settings))
    result: OrchestrationResult[Any] = prefect.set_flow_run_state(flow_run.id, AwaitingRetry())
    if result.status is not SetStateStatus.ACCEPT:
        reason = getattr(result.details, "reason", "") or result.status.value
        raise InvalidParameter(f"the Prefect server does not schedule {flow_run.name} again: {reason}")


def repeat_run(prefect: SyncPrefectClient, flow_run: FlowRun, settings: Sequence[str]) -> FlowRun:
    """Start a new run of the same deployment with the same parameters, some of them changed; return the new run.

    Raises:
        InvalidParameter: A parameter is wrong.
        DeploymentMissing: The deployment was deleted.
    """
    parameters = changed(flow_run.parameters, settings)
    if flow_run.deployment_id is None:
        raise DeploymentMissing(f"{flow_run.name} was started without a deployment")
    try:
        return prefect.create_flow_run_from_deployment(
            flow_run.deployment_id, parameters=parameters, job_variables=flow_run.job_variables
        )
    except ObjectNotFound:
        raise DeploymentMissing(f"the deployment of {flow_run.name} was deleted: deploy it again") from None

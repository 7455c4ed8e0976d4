"""Continues a run from its saved state, or repeats it from the start. In both cases, parameters may be changed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry

from deployments.cli.errors import DeploymentMissing, InvalidParameter, RunsNotOver
from deployments.prefect.fargate import check_task_size
from deployments.prefect.job import merge_variables
from deployments.prefect.pool import ECS_POOL
from deployments.prefect.run_parameters import FOLLOW_UP, IMPLEMENT, apply_settings, pairs
from deployments.runs.flow_runs import is_finished
from flows.agent.feedback import MAX_BYTES
from flows.run.feedback import add_feedback
from flows.text_safety import is_encodable

if TYPE_CHECKING:
    from prefect.client.schemas import OrchestrationResult

_MINUTES_TO_CHANGE_IT: Final = 5
_SAVED_WITH_THE_PLAN: Final = {
    IMPLEMENT: frozenset(
        {
            "repo_url",
            "instructions",
            "instructions_s3_uri",
            "reviewers_heard",
            "base_branch",
            "branch_name",
            "clone_depth",
        }
    ),
    FOLLOW_UP: frozenset({"pull_request_url", "flow_run_id", "reviewers_heard", "merge_base", "clone_depth"}),
}
"""Parameters that have no effect on a continued run, because the run has saved what they led to; by flow."""


def find_run(prefect: SyncPrefectClient, flow_run_id: str) -> FlowRun:
    """Return the run with this id. It must be a finished run of `implement` or `follow_up`, and have a deployment.

    Raises:
        InvalidParameter: The server does not know the run, or the run belongs to another flow.
        RunsNotOver: The run is not finished.
        DeploymentMissing: The run has no deployment, so nothing would execute it.
    """
    try:
        flow_run = prefect.read_flow_run(UUID(flow_run_id))
    except (ValueError, ObjectNotFound):
        raise InvalidParameter(f"there is no flow run {flow_run_id!r} on this Prefect server") from None
    if (name := _flow_name(prefect, flow_run)) not in _SAVED_WITH_THE_PLAN:
        raise InvalidParameter(f"{flow_run.name} is a run of {name}, not of {' or '.join(_SAVED_WITH_THE_PLAN)}")
    if not is_finished(flow_run):
        raise RunsNotOver(f"{flow_run.name} is {flow_run.state_name}: wait until it ends, or cancel it first")
    if flow_run.deployment_id is None:
        raise DeploymentMissing(
            f"{flow_run.name} was started without a deployment, so nothing would execute it: start it again the "
            "way you first started it"
        )
    return flow_run


def _flow_name(prefect: SyncPrefectClient, flow_run: FlowRun) -> str:
    return prefect.read_flow(flow_run.flow_id).name


def continue_run(
    prefect: SyncPrefectClient,
    flow_run: FlowRun,
    feedback: str | None,
    settings: Sequence[str],
    job_variables: Mapping[str, Any],
) -> None:
    """Schedule a run to continue from its saved state, as *Retry* in Prefect's UI does.

    Before that, the feedback to the agent, if there is any, is saved. The settings of the form NAME=VALUE change the
    run's parameters, and the job variables its machine.

    Raises:
        InvalidParameter: The run is completed; the feedback is empty or too long; a setting is invalid or has no effect
            on a continued run; a job variable is invalid; or the server does not accept the new state.
    """
    if flow_run.state and flow_run.state.is_completed():
        raise InvalidParameter(
            f"{flow_run.name} is completed, so there is nothing to continue: its report has the command for a new run "
            "on the same branch, and `runs repeat` starts all over"
        )
    flow, names = _flow_name(prefect, flow_run), {path.partition(".")[0] for path in pairs(settings, "--set")}
    if fixed := sorted(names & _SAVED_WITH_THE_PLAN[flow]):
        raise InvalidParameter(
            f"a continued run keeps its {', '.join(fixed)}: use `runs repeat` to change it, which starts a new run"
        )
    _check_feedback(feedback)
    _check_job_variables(prefect, flow_run, job_variables)
    if feedback is not None:
        add_feedback(prefect, flow_run.id, feedback)
    if settings:
        prefect.update_flow_run(flow_run.id, parameters=apply_settings(flow_run.parameters, settings, flow))
    if job_variables:
        # The server changes the job variables of scheduled runs only. A worker must not start the run before that.
        _schedule(prefect, flow_run, _MINUTES_TO_CHANGE_IT)
        prefect.update_flow_run(flow_run.id, job_variables={**(flow_run.job_variables or {}), **job_variables})
    _schedule(prefect, flow_run, 0)


def _check_feedback(feedback: str | None) -> None:
    if feedback is None:
        return
    if not feedback.strip():
        raise InvalidParameter("the feedback is empty: say what the agent shall be told, or leave --feedback out")
    if not is_encodable(feedback):
        raise InvalidParameter("the feedback is not text in UTF-8: correct it")
    if (size := len(feedback.encode())) > MAX_BYTES:
        raise InvalidParameter(f"the feedback has {size:,} bytes, and at most {MAX_BYTES:,} are passed on: shorten it")


def _schedule(prefect: SyncPrefectClient, flow_run: FlowRun, minutes: int) -> None:
    scheduled_time = datetime.now(UTC) + timedelta(minutes=minutes)
    result: OrchestrationResult[Any] = prefect.set_flow_run_state(
        flow_run.id, AwaitingRetry(scheduled_time=scheduled_time)
    )
    if result.status is not SetStateStatus.ACCEPT:
        reason = getattr(result.details, "reason", "") or result.status.value
        raise InvalidParameter(f"the Prefect server did not schedule {flow_run.name} again: {reason}")


def _check_job_variables(prefect: SyncPrefectClient, flow_run: FlowRun, job_variables: Mapping[str, Any]) -> None:
    """Raise `InvalidParameter` if the run's work pool has no such job variables, or Fargate no task of this size."""
    if not job_variables or flow_run.deployment_id is None:
        return
    deployment = prefect.read_deployment(flow_run.deployment_id)
    if deployment.work_pool_name != ECS_POOL:
        raise InvalidParameter(f"{flow_run.name} does not run on ECS, so --job-variable has no effect on it")
    pool = prefect.read_work_pool(ECS_POOL)
    check_task_size(merge_variables(pool, deployment, {**(flow_run.job_variables or {}), **job_variables}))


def repeat_run(
    prefect: SyncPrefectClient, flow_run: FlowRun, settings: Sequence[str], job_variables: Mapping[str, Any]
) -> FlowRun:
    """Start a new run of an earlier run's deployment, and return the new run.

    The new run has the parameters and job variables of the earlier run, except for those that are changed here.

    Raises:
        InvalidParameter: A setting or a job variable is invalid.
        DeploymentMissing: The earlier run has no deployment, or its deployment was deleted.
    """
    parameters = apply_settings(flow_run.parameters, settings, _flow_name(prefect, flow_run))
    if flow_run.deployment_id is None:
        raise DeploymentMissing(f"{flow_run.name} was started without a deployment")
    try:
        _check_job_variables(prefect, flow_run, job_variables)
        return prefect.create_flow_run_from_deployment(
            flow_run.deployment_id,
            parameters=parameters,
            job_variables={**(flow_run.job_variables or {}), **job_variables},
        )
    except ObjectNotFound:
        raise DeploymentMissing(f"the deployment of {flow_run.name} was deleted: deploy it again") from None

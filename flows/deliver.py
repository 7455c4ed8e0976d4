"""The flow that delivers later: a change that a run kept and could not push, with fresh credentials, and no agent."""

from dataclasses import replace
from typing import cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.results import get_default_result_storage
from prefect.states import Completed

from flows.errors import NothingKept
from flows.outcome.timing import note_steps
from flows.parameters.deliver import DeliverParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.signature import RawParameters, flow_parameters
from flows.reporting.log_filters import set_up_logs
from flows.repository.clone import plan as plan_branch
from flows.repository.collect import take_bundle
from flows.run.lifecycle import delivered
from flows.sandbox.workspace import workspace as run_workspace
from flows.state.records import Keepings, Plan
from flows.state.store import FileSystem, RunStore
from flows.tasks.clone import clone_again, remote
from flows.tasks.push import push
from flows.tasks.secret import read_secret


@flow(flow_run_name="deliver {flow_run_id}")
@flow_parameters
def deliver(parameters: RawParameters[DeliverParameters]) -> State[str]:
    """Push the change that a run of implement saved but could not push. No agent works for it."""
    set_up_logs()
    steps = note_steps()
    wanted = parameters.checked()
    store = RunStore(cast("FileSystem", get_default_result_storage()), wanted.flow_run_id)
    plan, bundle = _kept(store)
    checkout = replace(plan.checkout, branch=wanted.branch_name or plan.checkout.branch)
    request = ImplementParameters(
        repo_url=plan.repo_url,
        instructions="kept",
        branch_name=checkout.branch,
        git_credentials_secret_id=wanted.git_credentials_secret_id,
        git_credentials_block=wanted.git_credentials_block,
        aws_region=wanted.aws_region,
        allow_default_branch=wanted.allow_default_branch,
        policy=wanted.policy,
    )
    with run_workspace() as workspace:
        credentials = read_secret(request)
        refs = remote(request, credentials, workspace).refs()
        plan_branch(refs, checkout.branch, "", allow_default_branch=wanted.allow_default_branch)
        clone_again(request, credentials, workspace, checkout, work_tree=False)
        change = replace(take_bundle(workspace.clean_git, plan.checkout, bundle), checkout=checkout)
        push(request, credentials, workspace, change, store.path("change.bundle"), store)
        delivered(request, workspace, plan, change, steps)
    return Completed(message=f"Pushed {change.commit[:12]} to {checkout.branch}", data=change.commit)


def _kept(store: RunStore) -> tuple[Plan, bytes]:
    plan, bundle = Keepings.load(store).plan, store.read("change.bundle")
    if plan is None or bundle is None:
        raise NothingKept(
            f"no change of the run {store.flow_run_id!r} is kept here: check the id, and that this process has the run "
            "store of that one"
        )
    return plan, bundle

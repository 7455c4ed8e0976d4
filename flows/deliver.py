"""The flow that delivers later: a change that a run kept and could not push, with fresh credentials, and no agent."""

import os
from dataclasses import replace

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.credential_values import check_environment
from flows.errors import NothingKept
from flows.form import (
    BranchField,
    DefaultBranchField,
    FlowRunIdField,
    GitCredentialsBlockField,
    PolicyField,
    RegionField,
    SecretIdField,
)
from flows.keepings import Keepings, Plan
from flows.parameters import DEFAULT_REGION, DEFAULT_SECRET_ID, ChangePolicy, Request
from flows.steps import note_steps
from flows.store import RunStore
from flows.tasks.begin import keep_secrets, result_storage
from flows.tasks.clone import clone_again, remote
from flows.tasks.conclude import delivered
from flows.tasks.push import push
from flows.tasks.secret import read_secret
from flows.workspace.clone import check_target
from flows.workspace.collect import take_bundle
from flows.workspace.directory import workspace as run_workspace


@flow(flow_run_name="deliver {flow_run_id}")
def deliver(
    flow_run_id: FlowRunIdField,
    branch_name: BranchField = "",
    git_credentials_secret_id: SecretIdField = DEFAULT_SECRET_ID,
    git_credentials_block: GitCredentialsBlockField = "",
    aws_region: RegionField = DEFAULT_REGION,
    allow_default_branch: DefaultBranchField = False,
    policy: PolicyField = ChangePolicy(),  # noqa: B008 (frozen)
) -> State[str]:
    """Push the change that a run of implement kept, where the run itself could not. No agent works for it.

    Args:
        flow_run_id: Of the run of implement; its report says it, and so does the address of its page.
        branch_name: Where the change goes. Empty: the branch that the run was to push.
        git_credentials_secret_id: Name or ARN of the secret in AWS Secrets Manager that holds {"token", "email"}.
        git_credentials_block: Name of a block that holds the token, in place of the secret.
        aws_region: Where the secret is.
        allow_default_branch: Otherwise a push to the default branch is refused.
        policy: What the change may hold: allow here what the run was stopped for, if it is wanted.
    """
    keep_secrets()
    check_environment(os.environ)
    steps = note_steps()
    store = RunStore(result_storage(), flow_run_id)
    plan, bundle = _kept(store)
    checkout = replace(plan.checkout, branch=branch_name or plan.checkout.branch)
    request = Request(
        repo_url=plan.repo_url,
        instructions="kept",
        branch_name=checkout.branch,
        git_credentials_secret_id=git_credentials_secret_id,
        git_credentials_block=git_credentials_block,
        aws_region=aws_region,
        allow_default_branch=allow_default_branch,
        policy=policy,
    )
    with run_workspace() as workspace:
        credentials = read_secret(request)
        refs = remote(request, credentials, workspace).refs()
        check_target(refs, checkout.branch, allow_default_branch=allow_default_branch)
        clone_again(request, credentials, workspace, checkout, work_tree=False)
        change = replace(take_bundle(workspace.clean_git, plan.checkout, bundle), checkout=checkout)
        push(request, credentials, workspace, change, store.path("change.bundle"), store)
        delivered(request, credentials, workspace, plan, change, steps)
    return Completed(message=f"Pushed {change.commit[:12]} to {checkout.branch}", data=change.commit)


def _kept(store: RunStore) -> tuple[Plan, bytes]:
    plan, bundle = Keepings.load(store).plan, store.read("change.bundle")
    if plan is None or bundle is None:
        raise NothingKept(
            f"no change of the run {store.flow_run_id!r} is kept here: check the id, and that this process has the run "
            "store of that one"
        )
    return plan, bundle

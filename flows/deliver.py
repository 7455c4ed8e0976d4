"""The flow that delivers later: it pushes a change that a run saved, with fresh credentials and without an agent."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.outcome.result import RunResult
from flows.parameters.form import (
    BranchField,
    DefaultBranchField,
    FlowRunIdField,
    GitCredentialsBlockField,
    PolicyField,
    RegionField,
    SecretIdField,
)
from flows.parameters.request import DEFAULT_REGION, DEFAULT_SECRET_ID, ChangePolicy
from flows.run.lifecycle import completed, open_saved_run
from flows.tasks.claude import take_saved_change
from flows.tasks.clone import clone
from flows.tasks.push import push
from flows.tasks.secret import read_credentials


@flow(flow_run_name="deliver {flow_run_id}")
def deliver(
    flow_run_id: FlowRunIdField,
    branch_name: BranchField = "",
    git_credentials_secret_id: SecretIdField = DEFAULT_SECRET_ID,
    git_credentials_block: GitCredentialsBlockField = "",
    aws_region: RegionField = DEFAULT_REGION,
    allow_default_branch: DefaultBranchField = False,
    policy: PolicyField = ChangePolicy(),  # noqa: B008 (frozen)
) -> State[RunResult]:
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
    parameters = {
        "git_credentials_secret_id": git_credentials_secret_id,
        "git_credentials_block": git_credentials_block,
        "aws_region": aws_region,
        "allow_default_branch": allow_default_branch,
        "policy": policy,
    }
    with open_saved_run(flow_run_id, branch_name, parameters) as run:
        credentials = read_credentials(run)
        clone(run, credentials)
        change = take_saved_change(run)
        push(run, credentials, change)
    return completed(run, change)

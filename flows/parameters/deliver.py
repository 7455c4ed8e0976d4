"""The parameters of the flow `deliver`."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flows.parameters.addresses import check_branch_name
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.fields import form_pattern
from flows.parameters.pull_request import DeliveredPullRequest
from flows.parameters.shared import (
    BRANCH_RULE,
    DEFAULT_REGION,
    DEFAULT_SECRET_ID,
    AllowDefaultBranch,
    AwsRegion,
    Forge,
    ForgeApiUrl,
    GitCredentialsBlock,
    GitCredentialsSecretId,
    Policy,
)


class DeliverParameters(BaseModel):
    """The checked parameters of one run of `deliver`. The first wrong parameter raises an error of `flows.errors`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow_run_id: Annotated[
        str,
        form_pattern("the id of a flow run", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ] = Field(
        title="Flow run id",
        description="Id of the run of implement whose saved change is pushed. The report of that run shows the id, and "
        "the address of its page contains it.",
    )
    branch_name: Annotated[
        str,
        AfterValidator(lambda name: check_branch_name(name) if name else name),
        BRANCH_RULE,
    ] = Field(
        default="",
        title="Branch to push",
        description="Branch to push to. Leave it empty to use the branch that the run would have pushed to.",
    )
    apply_to_latest: bool = Field(
        default=False,
        title="Apply to the latest commit",
        description="Apply the change to the newest commit of the branch to push. If the remote does not have that "
        "branch, apply it to the newest commit of the branch that the run started from. Without this, the change stays "
        "on the commit that the run started from. If files conflict, the error names them, and nothing is pushed.",
    )
    verify: bool = Field(
        default=False,
        title="Verify again",
        description="Run the verify commands of the run again before the push, in a fresh checkout of the change with "
        "the services and the setup. If the verification fails, nothing is pushed.",
    )
    git_credentials_secret_id: GitCredentialsSecretId = DEFAULT_SECRET_ID
    git_credentials_block: GitCredentialsBlock = ""
    aws_region: Annotated[AwsRegion, Field(description="AWS region of the git credentials secret.")] = DEFAULT_REGION
    allow_default_branch: Annotated[
        AllowDefaultBranch, Field(description="Allow a push to the repository's default branch.")
    ] = False
    pull_request: Annotated[
        DeliveredPullRequest,
        Field(
            title="Pull request",
            description="The pull request for the branch. What is empty is as in the earlier run.",
        ),
    ] = DeliveredPullRequest()
    forge: Annotated[
        Forge, Field(description="Kind of the git host. Leave it empty to use that of the earlier run.")
    ] = ""
    forge_api_url: Annotated[
        ForgeApiUrl,
        Field(description="Address of the git host's API. Leave it empty to use that of the earlier run."),
    ] = ""
    policy: Annotated[
        Policy,
        Field(description="What the change may contain. Allow what the policy of the earlier run refused."),
    ] = ChangePolicy()

"""The parameters of the flow `deliver`."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flows.parameters.addresses import check_branch_name
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.fields import form_pattern
from flows.parameters.shared import (
    BRANCH_RULE,
    DEFAULT_REGION,
    DEFAULT_SECRET_ID,
    AllowDefaultBranch,
    AwsRegion,
    GitCredentialsBlock,
    GitCredentialsSecretId,
    Policy,
)


class DeliverParameters(BaseModel):
    """The parameters of one delivery, checked. The named error of the first that is wrong is raised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow_run_id: Annotated[
        str,
        form_pattern("the id of a flow run", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ] = Field(
        title="Flow run id",
        description="Id of the run of implement whose change to push. It is in the run's report, and in the address "
        "of the run's page.",
    )
    branch_name: Annotated[
        str,
        AfterValidator(lambda name: check_branch_name(name) if name else name),
        BRANCH_RULE,
    ] = Field(
        default="",
        title="Branch to push",
        description="Branch to push to. Empty: the branch that the run was meant to push.",
    )
    git_credentials_secret_id: GitCredentialsSecretId = DEFAULT_SECRET_ID
    git_credentials_block: GitCredentialsBlock = ""
    aws_region: Annotated[AwsRegion, Field(description="AWS region of the secret.")] = DEFAULT_REGION
    allow_default_branch: Annotated[
        AllowDefaultBranch, Field(description="Allow a push to the repository's default branch.")
    ] = False
    policy: Annotated[
        Policy,
        Field(description="What the change may contain. To push a change that a policy stopped, allow it here."),
    ] = ChangePolicy()

"""The parameters of the flow `follow_up`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from flows.errors import InvalidFollowUp
from flows.forges.pages import PageKind, parse_page
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.claude_code import ClaudeSettings, Effort, ModelId, ModelProvider, RunLimits
from flows.parameters.claude_settings import DEFAULT_SETTINGS, check_settings
from flows.parameters.fields import FormRule, form_pattern
from flows.parameters.implement import DEFAULT_CLONE_DEPTH, ImplementParameters
from flows.parameters.limits import Limits
from flows.parameters.provider import DEFAULT_PROVIDER
from flows.parameters.pull_request import READY
from flows.parameters.shared import (
    DEFAULT_REGION,
    DEFAULT_SECRET_ID,
    AwsRegion,
    Forge,
    ForgeApiUrl,
    GitCredentialsBlock,
    GitCredentialsSecretId,
    Policy,
    ReviewersHeard,
)
from flows.parameters.verification import Verification
from flows.redaction import REDACTED

DEFAULT_COMMIT_MESSAGE: Final = "Follow up on the review using Claude Code"

_RUN_ID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
OWN: Final = frozenset({"pull_request_url", "flow_run_id", "instructions", "reviewers_heard", "merge_base"})
"""The parameters that a run of implement does not have, or that mean something else there."""
_AS_BEFORE: Final = "What is at its default is as in the run that is continued."


class FollowUpParameters(BaseModel):
    """The checked parameters of one run of `follow_up`. The first wrong parameter raises an error of `flows.errors`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pull_request_url: str = Field(
        default="",
        title="Pull request",
        description="Address of the pull request whose review is followed up, such as "
        "https://github.com/owner/repository/pull/12. A run of implement or follow_up has opened it. Set this or the "
        "flow run id.",
    )
    flow_run_id: Annotated[
        str,
        form_pattern("the id of a flow run", f"|{_RUN_ID}"),
    ] = Field(
        default="",
        title="Flow run id",
        description="Id of the run whose pushed branch is continued, instead of the address of a pull request.",
    )
    instructions: str = Field(
        default="",
        title="Instructions as text",
        description="What to do besides what the reviewers ask for, as Markdown.",
    )
    reviewers_heard: ReviewersHeard = ()
    merge_base: bool = Field(
        default=False,
        title="Merge the base branch",
        description="Merge the branch that the pull request is for into the branch, and let the agent resolve the "
        "conflicts.",
    )
    commit_message: str = Field(
        default=DEFAULT_COMMIT_MESSAGE,
        title="Commit message",
        description="Message of the commit. The id of the flow run is appended.",
    )
    provider: ModelProvider = DEFAULT_PROVIDER
    claude_model_id: Annotated[
        ModelId, Field(description="Id of the model. Leave it empty to use that of the run that is continued.")
    ] = ""
    limits: Annotated[
        RunLimits, Field(description=f"Limits on the turns, the cost and the time of this run alone. {_AS_BEFORE}")
    ] = Limits()
    effort: Effort = ""
    claude_settings: Annotated[ClaudeSettings, AfterValidator(check_settings)] = DEFAULT_SETTINGS
    claude_code_block: str = Field(
        default="",
        title="Claude Code block",
        description="Name of a Claude Code block. Leave it empty to use that of the run that is continued.",
    )
    git_credentials_secret_id: GitCredentialsSecretId = DEFAULT_SECRET_ID
    git_credentials_block: GitCredentialsBlock = ""
    aws_region: AwsRegion = DEFAULT_REGION
    clone_depth: Annotated[int, FormRule({"minimum": 0})] = Field(
        default=DEFAULT_CLONE_DEPTH,
        ge=0,
        title="Commits of history",
        description="How many commits of history to fetch; 0 fetches all.",
    )
    verification: Annotated[
        Verification,
        Field(title="Commands of the repository", description=f"The repository's own commands. {_AS_BEFORE}"),
    ] = Verification()
    forge: Annotated[
        Forge,
        Field(
            description="Kind of the git host. Leave it empty to recognise it by the address, or to use that of the "
            "run that is continued."
        ),
    ] = ""
    forge_api_url: Annotated[
        ForgeApiUrl,
        Field(description="Address of the git host's API. Leave it empty to use that of the run that is continued."),
    ] = ""
    policy: Annotated[Policy, Field(description=f"What a pushed change may contain. {_AS_BEFORE}")] = ChangePolicy()

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if bool(self.pull_request_url.strip()) == bool(self.flow_run_id):
            raise InvalidFollowUp(
                "pull_request_url and flow_run_id are both set, or both empty: set one of them, to say which work is "
                "continued"
            )
        if self.flow_run_id and not re.fullmatch(_RUN_ID, self.flow_run_id):
            raise InvalidFollowUp(
                f"flow_run_id is {self.flow_run_id!r}, which is no id of a flow run: copy it from the run's report or "
                "page; it looks like 01234567-89ab-cdef-0123-456789abcdef"
            )
        if not self.flow_run_id:
            parse_page(self.pull_request_url, PageKind.PULL_REQUEST, forge=self.forge)
        return self

    def over(self, saved: Mapping[str, Any], repo_url: str, branch: str, *, has_number: bool) -> dict[str, Any]:
        """Return the parameters of `implement` for this run, unchecked.

        Args:
            saved: The saved parameters of the run that is continued. What differs from its default here replaces them.
            repo_url: The repository.
            branch: The branch.
            has_number: Whether the branch has a pull request, whose text is brought up to date in any case.
        """
        known = ImplementParameters.model_fields
        values = {name: value for name, value in saved.items() if name in known}
        changes = self.model_dump(mode="json", exclude_defaults=True, exclude=set(OWN))
        for name, value in changes.items():
            group = isinstance(getattr(self, name), BaseModel)
            values[name] = {**(values.get(name) or {}), **value} if group else value
        request = values.get("pull_request") or {}
        kind = request.get("pull_request", "never")
        values["pull_request"] = {**request, "pull_request": READY if has_number and kind == "never" else kind}
        settings = values.get("claude_settings") or DEFAULT_SETTINGS
        return {
            **values,
            "repo_url": repo_url,
            "branch_name": branch,
            "commit_message": self.commit_message,
            "claude_settings": _without_redacted(settings),
        }


def _without_redacted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without environment variables whose values were not saved."""
    variables = settings.get("env")
    if not isinstance(variables, dict):
        return dict(settings)
    rest = {name: value for name, value in variables.items() if value != REDACTED}
    others = {name: value for name, value in settings.items() if name != "env"}
    return {**others, "env": rest} if rest else others

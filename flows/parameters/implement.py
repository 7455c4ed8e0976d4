"""The parameters of the flow `implement`, in the order of its form.

All checks that need no server are made here, before the run starts and before it costs anything.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from flows.errors import (
    InvalidCommitMessage,
    InvalidForgePage,
    InvalidInstructionsSource,
    InvalidLimits,
    InvalidPullRequest,
)
from flows.forges.pages import ForgePage, is_address, issue_page
from flows.parameters.addresses import REPO_URL_PATTERN, S3_URI_PATTERN, RepoUrl, S3Uri, check_branch_name
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.claude_code import (
    ClaudeCodeOptions,
    ClaudeSettings,
    DisablePromptCache,
    Effort,
    ModelId,
    ModelProvider,
    RunLimits,
)
from flows.parameters.claude_settings import DEFAULT_SETTINGS, check_settings
from flows.parameters.fields import FormRule, form_pattern
from flows.parameters.limits import Limits
from flows.parameters.provider import DEFAULT_PROVIDER
from flows.parameters.pull_request import PullRequest
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
    ReviewersHeard,
)
from flows.parameters.signature import RawParameters
from flows.parameters.verification import Verification

DEFAULT_COMMIT_MESSAGE: Final = "Implement requirements using Claude Code"
DEFAULT_CLONE_DEPTH: Final = 50

_OF_THIS_RUN: Final[dict[str, Any]] = {
    **dict.fromkeys(("repo_url", "branch_name", "instructions", "instructions_s3_uri"), True),
    **dict.fromkeys(("reviewers_heard", "commit_message"), True),
    "pull_request": {"pull_request_title", "pull_request_labels", "reviewers"},
}


def default_branch_name(scheduled_start: datetime, flow_run_id: str) -> str:
    """Return the branch name for a run that does not set one. Only the attempts of this run share the name.

    The name contains the end of the run's id, because the beginning of an id may be a time that other runs share.
    """
    timestamp = scheduled_start.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    return f"feature/claude-implementation-{timestamp}-{flow_run_id[-8:]}"


def _check_commit_message(message: str) -> str:
    if not message.strip() or "\0" in message:
        raise InvalidCommitMessage("commit_message is empty or contains a NUL byte: describe the change in one line")
    return message.strip()


def _check_clone_depth(depth: int) -> int:
    if depth < 0:
        raise InvalidLimits(f"clone_depth is {depth}: give the number of commits, or 0 for the whole history")
    return depth


class ImplementParameters(BaseModel):
    """The checked parameters of one run. The first wrong parameter raises an error of `flows.errors`."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid")

    repo_url: Annotated[
        RepoUrl,
        BeforeValidator(RepoUrl.parse, json_schema_input_type=str),
        form_pattern("an https URL without user or token", REPO_URL_PATTERN),
    ] = Field(
        title="Repository",
        description="HTTPS URL of the git repository, without a user name or a token, such as "
        "https://github.com/owner/repository.git",
    )
    instructions_s3_uri: Annotated[
        S3Uri | None,
        BeforeValidator(lambda text: S3Uri.parse(text) if text else None, json_schema_input_type=str),
        form_pattern("s3://bucket/file or s3://bucket/folder/", f"|{S3_URI_PATTERN}"),
    ] = Field(
        default="",
        validate_default=True,
        title="Instructions in S3",
        description="S3 address of the instructions: s3://bucket/file.md, or s3://bucket/folder/* for every file in "
        "the folder. Set this or the text of the instructions, not both.",
    )
    instructions: str = Field(
        default="",
        title="Instructions as text",
        description="Text of the instructions, as Markdown, instead of an address in S3. Or only the address of an "
        "issue on the repository's git host, such as https://github.com/owner/repository/issues/12.",
    )
    base_branch: Annotated[
        str,
        AfterValidator(lambda name: check_branch_name(name, "base_branch") if name else name),
        BRANCH_RULE,
    ] = Field(
        default="",
        title="Branch to start from",
        description="Branch, tag or commit that a new branch starts from. A commit needs its full id. Leave it empty "
        "to use the repository's default branch.",
    )
    branch_name: Annotated[str, AfterValidator(check_branch_name), BRANCH_RULE] = Field(
        default="",
        validate_default=True,  # a run replaces an empty name with its default before the check
        title="Branch to push",
        description="Branch to push to. If the branch exists, the run adds to it. Leave the name empty for a new "
        "branch named feature/claude-implementation-{time}-{end of the run's id}.",
    )
    commit_message: Annotated[
        str, AfterValidator(_check_commit_message), form_pattern("a line of text", r"\s*\S[^\0]*")
    ] = Field(
        default=DEFAULT_COMMIT_MESSAGE,
        title="Commit message",
        description="Message of the commit. The id of the flow run is appended.",
    )
    provider: ModelProvider = DEFAULT_PROVIDER
    claude_model_id: ModelId = ""
    limits: RunLimits = Limits()
    effort: Effort = ""
    claude_settings: Annotated[ClaudeSettings, AfterValidator(check_settings)] = DEFAULT_SETTINGS
    disable_prompt_cache: DisablePromptCache = False
    claude_code_block: str = Field(
        default="",
        title="Claude Code block",
        description="Name of a Claude Code block with provider, model, settings and limits. Parameters that differ "
        "from their defaults override the block.",
    )
    git_credentials_secret_id: GitCredentialsSecretId = DEFAULT_SECRET_ID
    git_credentials_block: GitCredentialsBlock = ""
    aws_region: AwsRegion = DEFAULT_REGION
    clone_depth: Annotated[int, AfterValidator(_check_clone_depth), FormRule({"minimum": 0})] = Field(
        default=DEFAULT_CLONE_DEPTH,
        title="Commits of history",
        description="How many commits of history to fetch; 0 fetches all.",
    )
    submodules: bool = Field(
        default=False,
        title="Fetch submodules",
        description="Fetch the submodules at their recorded commits. They must be in the same folder of the same git "
        "server as the repository, such as the same owner on GitHub, or be listed in the repositories of the git "
        "credentials.",
    )
    lfs: bool = Field(
        default=False,
        title="Fetch files of Git LFS",
        description="Fetch the content of files that are stored with Git LFS, from the git server's own LFS, and "
        "upload the content of such files that the change adds or modifies. Without this, they stay pointers.",
    )
    allow_default_branch: AllowDefaultBranch = False
    verification: Annotated[
        Verification,
        Field(
            title="Commands of the repository",
            description="The repository's own commands. They run as the agent's user, without the run's credentials.",
        ),
    ] = Verification()
    pull_request: Annotated[
        PullRequest,
        Field(
            title="Pull request",
            description="The pull request for the branch. If it cannot be opened, the run still completes.",
        ),
    ] = PullRequest()
    reviewers_heard: Annotated[
        ReviewersHeard,
        Field(
            description="If the instructions are an issue: ids of accounts whose comments on it count although the git "
            "host does not tell that they may push, such as bots. The report lists the ids of those who were not heard."
        ),
    ] = ()
    forge: Forge = ""
    forge_api_url: ForgeApiUrl = ""
    policy: Policy = ChangePolicy()

    @model_validator(mode="after")
    def _check_instructions_source(self) -> Self:
        has_text = bool(self.instructions.strip())
        if has_text and self.instructions_s3_uri:
            raise InvalidInstructionsSource("instructions_s3_uri and instructions are both set: choose one of them")
        if not has_text and not self.instructions_s3_uri:
            raise InvalidInstructionsSource(
                "there are no instructions: set instructions_s3_uri to their address, or instructions to their text"
            )
        return self

    @model_validator(mode="after")
    def _check_issue(self) -> Self:
        if self.issue:
            self.check_forge([self.forge_api_url])  # what the secret or block allows shows when it is read
        return self

    @property
    def issue(self) -> ForgePage | None:
        """The issue that is the instructions; None if they are something else.

        Raises:
            InvalidForgePage: The instructions are another address, or that of an issue elsewhere.
        """
        if self.instructions_s3_uri or not is_address(self.instructions):
            return None
        try:
            return issue_page(self.instructions, self.repo_url.url, forge=self.forge)
        except InvalidForgePage as error:
            raise InvalidForgePage(f"{error}. Instructions that are more than an address are taken as text") from None

    @model_validator(mode="after")
    def _check_pull_request(self) -> Self:
        if not self.pull_request.is_wanted:
            return self
        if self.branch_name == self.pull_request.pull_request_base:
            raise InvalidPullRequest(
                f"pull_request.pull_request_base is {self.branch_name!r}, which is also the branch to push: choose "
                "another branch to merge into, or another branch_name"
            )
        self.check_forge([self.forge_api_url])  # what the secret or block allows shows when it is read
        return self

    def check_forge(self, allowed_api_urls: Sequence[str]) -> None:
        """Raise `InvalidForgeApiUrl` if the repository's forge has no API to which the git token may go."""
        from flows.forges.api.table import repository_of  # noqa: PLC0415 (its HTTP client takes a moment to import)

        repository_of(self.repo_url.url, SecretStr(""), "", self.forge, self.forge_api_url, allowed_api_urls)

    def for_next_run(self) -> dict[str, Any]:
        """Return what a further run on the same branch needs: the parameters that are not at their defaults.

        The repository and the branch are left out, and so is what was for this run alone or is on the pull request now.
        """
        values = self.model_dump(mode="json", exclude_defaults=True, exclude=_OF_THIS_RUN)
        return {name: value for name, value in values.items() if value != {}}

    def claude_code_options(self, block: ClaudeCodeOptions | None = None) -> ClaudeCodeOptions:
        """Return the options of Claude Code in this run.

        Args:
            block: The options in the run's ClaudeCode block. They apply if the run's parameter has its default.
        """
        values: dict[str, Any] = {name: getattr(self, name) for name in ClaudeCodeOptions.model_fields}
        options = ClaudeCodeOptions(**values)
        if block is None:
            return options
        options = options.over(block)
        check_settings(options.claude_settings)
        return options


def check_before_run(values: Mapping[str, Any]) -> ImplementParameters:
    """Return the checked parameters for a run that has not been created. An empty branch name becomes a placeholder.

    Raises:
        RunError: A parameter is wrong. If several are, the error is about the first.
    """
    placeholder = "feature/claude-implementation"
    return RawParameters(ImplementParameters, dict(values)).checked(branch_name=placeholder)

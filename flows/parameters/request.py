"""The types of a run's parameters, their defaults, and the check that turns them into a `Request`.

Whatever a caller can get wrong without our asking a server is found here, before anything is started or spent.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from flows.errors import (
    InvalidCommitMessage,
    InvalidInstructionsSource,
    InvalidLimits,
    InvalidModelId,
    InvalidRegion,
    InvalidSecretId,
)
from flows.parameters.addresses import RepoUrl, S3Uri, check_branch_name
from flows.parameters.provider import DEFAULT_PROVIDER, Provider, default_model_id

DEFAULT_SETTINGS: Final[dict[str, Any]] = {"permissions": {"allow": ["Bash(*)"]}}
DEFAULT_COMMIT_MESSAGE: Final = "Implement requirements using Claude Code"
DEFAULT_SECRET_ID: Final = "claude-headless/git-credentials"  # noqa: S105 (the name of a secret, not one)
DEFAULT_REGION: Final = "us-east-1"
DEFAULT_CLONE_DEPTH: Final = 50

MODEL_ID_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_.:/\[\]-]{0,2047}"
SECRET_ID_PATTERN: Final = "[A-Za-z0-9_/+=.@:-]{1,512}"  # noqa: S105 (what a name is made of)
REGION_PATTERN: Final = "[a-z]{2}(-[a-z]+)+-[0-9]"
"""Full matches; the form asks for the same."""


class Limits(BaseModel):
    """Where a run stops by itself. 0 means no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_turns: int = Field(default=200, ge=0, title="Turns", description="Replies of the model. 0: no limit.")
    max_budget_usd: float = Field(
        default=20.0,
        ge=0,
        title="Budget in US dollars",
        description="Spent on the model at list prices. No request starts above it. 0: no limit.",
    )
    agent_timeout_seconds: int = Field(
        default=7200, ge=0, title="Seconds of work", description="How long the agent may work. 0: no limit."
    )
    stall_timeout_seconds: int = Field(
        default=900,
        ge=0,
        title="Seconds of silence",
        description="How long the agent may say nothing. A shell command of it may take ten minutes. 0: no limit.",
    )
    checkpoint_seconds: int = Field(
        default=60,
        ge=0,
        title="Seconds between checkpoints",
        description="How often the work so far is kept, so that another machine can go on with it. 0: never.",
    )


class ChangePolicy(BaseModel):
    """What a change may hold to be pushed. One that may not is kept, and nothing is pushed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_ci_changes: bool = Field(
        default=False,
        title="May change CI files",
        description="Workflows and pipelines: what CI runs has credentials of its own.",
    )
    allow_agent_files: bool = Field(
        default=False,
        title="May change agents' files",
        description=".claude/, .mcp.json and the like: what they say runs on the machine of whoever opens them.",
    )
    allow_submodules: bool = Field(
        default=False, title="May change submodules", description="Add, move or remove them."
    )
    allow_outside_links: bool = Field(
        default=False, title="May link outside", description="Symbolic links that lead out of the repository."
    )
    allow_secrets_in: tuple[str, ...] = Field(
        default=(),
        title="Files that may hold secrets",
        description="Patterns of paths, such as tests/fixtures/*. The run's own credentials are never pushed.",
    )
    max_file_mb: int = Field(
        default=100, ge=0, title="Megabytes of a file", description="GitHub takes 100. 0: no limit."
    )
    max_deleted_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="Share of files deleted",
        description="How much of the repository may be deleted, where it is more than ten files. A move is none.",
    )


def default_branch_name(scheduled_start: datetime, flow_run_id: str) -> str:
    """Return the branch of a run that names none: a retry finds its own again, and no two runs share one.

    The end of the id tells runs apart; its beginning may be a time.
    """
    timestamp = scheduled_start.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    return f"feature/claude-implementation-{timestamp}-{flow_run_id[-8:]}"


def _text(pattern: str, error: type[Exception], reason: str) -> BeforeValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise error(reason.format(value=value))
        return value

    return BeforeValidator(check)


def _commit_message(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise InvalidCommitMessage("commit_message is empty or holds a NUL byte: say in a line what the change is")
    return value.strip()


def _clone_depth(value: int) -> int:
    if value < 0:
        raise InvalidLimits(f"clone_depth is {value}: give the number of commits, or 0 for the whole history")
    return value


class Request(BaseModel):
    """A run's parameters, checked. Raises the named error of the first one that is wrong."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid")

    repo_url: Annotated[RepoUrl, BeforeValidator(RepoUrl.parse)]
    instructions_s3_uri: Annotated[S3Uri | None, BeforeValidator(lambda uri: S3Uri.parse(uri) if uri else None)] = None
    instructions: str = ""
    branch_name: Annotated[str, BeforeValidator(check_branch_name)]
    base_branch: Annotated[str, BeforeValidator(lambda name: name and check_branch_name(name, "base_branch"))] = ""
    commit_message: Annotated[str, BeforeValidator(_commit_message)] = DEFAULT_COMMIT_MESSAGE
    clone_depth: Annotated[int, BeforeValidator(_clone_depth)] = DEFAULT_CLONE_DEPTH
    git_credentials_secret_id: Annotated[
        str,
        _text(
            SECRET_ID_PATTERN,
            InvalidSecretId,
            "git_credentials_secret_id {value!r} is not the name or ARN of a secret in AWS Secrets Manager",
        ),
    ] = DEFAULT_SECRET_ID
    git_credentials_block: str = ""
    aws_region: Annotated[
        str, _text(REGION_PATTERN, InvalidRegion, "aws_region {value!r} is no region: us-east-1 is one")
    ] = DEFAULT_REGION
    allow_default_branch: bool = False
    policy: ChangePolicy = ChangePolicy()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        inline = bool(self.instructions.strip())
        if inline == (self.instructions_s3_uri is not None):
            raise InvalidInstructionsSource(
                "both instructions_s3_uri and instructions are given: choose one"
                if inline
                else "there are no instructions: give instructions_s3_uri, or the text itself as instructions"
            )
        return self


class ClaudeCodeOptions(BaseModel):
    """How Claude Code is to work: what a `ClaudeCode` block holds, less its credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Provider = DEFAULT_PROVIDER
    claude_model_id: Annotated[
        str,
        _text(
            f"|{MODEL_ID_PATTERN}",
            InvalidModelId,
            "claude_model_id {value!r} is not a model id: us.anthropic.claude-sonnet-5-5 is one",
        ),
    ] = ""
    aws_region: str = DEFAULT_REGION
    claude_settings: dict[str, Any] = DEFAULT_SETTINGS
    disable_prompt_cache: bool = False
    limits: Limits = Limits()

    @property
    def model_id(self) -> str:
        """The model to ask the provider for."""
        return self.claude_model_id or default_model_id(self.provider, self.aws_region)

    def over(self, base: Self) -> Self:
        """Return these options where they differ from the defaults, and `base` where they do not."""
        ours = self.model_dump(exclude_defaults=True)
        limits = base.limits.model_copy(update=self.limits.model_dump(exclude_defaults=True))
        return base.model_copy(update=ours | {"limits": limits})

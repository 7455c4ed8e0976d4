"""How each parameter looks in Prefect's form, and what the form and the API refuse before there is a run.

Descriptions are the flows' docstrings, because Prefect takes them from there. What stands here goes into the JSON
schema alone: a value that comes by another way gets its named error from `flows.parameters.request`, whose checks
are stricter.
"""

from typing import Annotated, Any

from pydantic import Field

from flows.parameters.addresses import BRANCH_PATTERN, REPO_URL_PATTERN, S3_URI_PATTERN
from flows.parameters.provider import Provider
from flows.parameters.request import MODEL_ID_PATTERN, REGION_PATTERN, SECRET_ID_PATTERN, ChangePolicy, Limits


def _shown(title: str, **constraints: Any) -> Any:  # noqa: ANN401 (as pydantic's Field)
    """Return a field with a title and what its value must be like."""
    return Field(json_schema_extra={"title": title, **constraints})


def _like(words: str, pattern: str) -> str:
    """Return a pattern that begins with words: of a value that is refused Prefect shows the pattern, as Markdown."""
    return f"({words}){{0}}^({pattern})$"


_BRANCH = _like("a name that git takes, such as feature/todo-api", f"|{BRANCH_PATTERN}")

RepoUrlField = Annotated[
    str, _shown("Repository", pattern=_like("an https URL without user or token", REPO_URL_PATTERN))
]
S3UriField = Annotated[
    str, _shown("Instructions in S3", pattern=_like("s3://bucket/file or s3://bucket/folder/", f"|{S3_URI_PATTERN}"))
]
InstructionsField = Annotated[str, _shown("Instructions as text")]
BaseBranchField = Annotated[str, _shown("Branch to start from", pattern=_BRANCH)]
BranchField = Annotated[str, _shown("Branch to push", pattern=_BRANCH)]
CommitMessageField = Annotated[str, _shown("Commit message", pattern=_like("a line of text", r"\s*\S[^\0]*"))]
ProviderField = Annotated[Provider, _shown("Model provider")]
ModelIdField = Annotated[str, _shown("Model", pattern=_like("a model id", f"|{MODEL_ID_PATTERN}"))]
LimitsField = Annotated[Limits, _shown("Limits of the run")]
SettingsField = Annotated[dict[str, Any], _shown("Claude Code settings")]
NoPromptCacheField = Annotated[bool, _shown("No prompt cache")]
ClaudeCodeBlockField = Annotated[str, _shown("Claude Code block")]
SecretIdField = Annotated[
    str, _shown("Git credentials in AWS", pattern=_like("the name or ARN of a secret", SECRET_ID_PATTERN))
]
GitCredentialsBlockField = Annotated[str, _shown("Git Credentials block")]
RegionField = Annotated[str, _shown("AWS region", pattern=_like("such as us-east-1", REGION_PATTERN))]
CloneDepthField = Annotated[int, _shown("Commits of history", minimum=0)]
DefaultBranchField = Annotated[bool, _shown("May push to the default branch")]
PolicyField = Annotated[ChangePolicy, _shown("What may be pushed")]
FlowRunIdField = Annotated[
    str, _shown("Flow run id", pattern=_like("the id of a flow run", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"))
]

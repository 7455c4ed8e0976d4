"""The group `policy`: what a change may contain."""

from pydantic import BaseModel, ConfigDict, Field


class ChangePolicy(BaseModel):
    """Which changes may be pushed. Each one that is not allowed here is saved instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_ci_changes: bool = Field(
        default=False,
        title="May change CI files",
        description="Allow changes to workflows, pipelines and code owners. CI runs them with its own credentials.",
    )
    allow_agent_files: bool = Field(
        default=False,
        title="May change agents' files",
        description="Allow changes to .claude/, .mcp.json and similar files. They can start programs on the machine of "
        "anyone who opens the repository with an agent.",
    )
    allow_submodules: bool = Field(
        default=False, title="May change submodules", description="Allow submodules to be added, moved or removed."
    )
    allow_outside_links: bool = Field(
        default=False,
        title="May link outside",
        description="Allow symbolic links that lead out of the repository.",
    )
    allow_secrets_in: tuple[str, ...] = Field(
        default=(),
        title="Files that may hold secrets",
        description="Patterns of paths that may hold secrets, such as tests/fixtures/*. "
        "The run's own credentials are never pushed.",
    )
    max_file_mb: int = Field(
        default=100,
        ge=0,
        title="Megabytes of a file",
        description="Size of the largest file that may be pushed; 0 for no limit. GitHub takes up to 100.",
    )
    max_deleted_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="Share of files deleted",
        description="Share of the repository's files that may be deleted, if they are more than ten. "
        "A moved file is not deleted.",
    )

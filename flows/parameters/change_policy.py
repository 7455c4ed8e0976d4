"""Defines the parameter group `policy`, which says what a change may contain."""

from pydantic import BaseModel, ConfigDict, Field


class ChangePolicy(BaseModel):
    """The kinds of changes that may be pushed. Every other change is saved, but not pushed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_ci_changes: bool = Field(
        default=False,
        title="Allow CI changes",
        description="Allow changes to CI workflows, CI pipelines and code owners. Such changes are risky, because CI "
        "runs workflows and pipelines with its own credentials.",
    )
    allow_agent_files: bool = Field(
        default=False,
        title="Allow agent configuration changes",
        description="Allow changes to .claude/, .mcp.json and similar files. Such files can start programs on the "
        "machine of anyone who opens the repository with an agent.",
    )
    allow_submodules: bool = Field(
        default=False,
        title="Allow submodule changes",
        description="Allow the change to add, move or remove submodules.",
    )
    allow_outside_links: bool = Field(
        default=False,
        title="Allow links out of the repository",
        description="Allow symbolic links that point outside the repository.",
    )
    allow_secrets_in: tuple[str, ...] = Field(
        default=(),
        title="Files that may contain secrets",
        description="Path patterns of files that may contain secrets, such as tests/fixtures/*. "
        "The run's own credentials are never pushed.",
    )
    max_file_mb: int = Field(
        default=100,
        ge=0,
        title="Largest file in MB",
        description="Size in megabytes of the largest file that may be pushed; 0 for no limit. GitHub accepts files "
        "of up to 100.",
    )
    max_deleted_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="Largest share of deleted files",
        description="Largest share of the repository's files that may be deleted, from 0 to 1. A change may always "
        "delete up to ten files. Moved files do not count as deleted.",
    )
    max_new_files: int = Field(
        default=1000,
        ge=0,
        title="Largest number of new files",
        description="How many files the change may add; 0 for no limit. Folders that tools fill, such as node_modules, "
        "are left out of every change.",
    )
    leave_out: tuple[str, ...] = Field(
        default=(".claude/settings.local.json", "CLAUDE.local.md", ".aider*"),
        title="Files to leave out",
        description="Path patterns of files that are left out of the change, with a warning. The defaults match the "
        "local settings of coding agents.",
    )

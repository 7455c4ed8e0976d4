"""Defines the parameter group `verification`: the repository's own commands in a run."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flows.errors import InvalidSetupCommand
from flows.text_safety import is_encodable

MAX_BYTES: Final = 65_536
"""The most bytes that a setup command may have."""


def _check_command(command: str) -> str:
    if "\0" in command or not is_encodable(command):
        raise InvalidSetupCommand("verification.setup_command contains a NUL byte or is not valid text: enter it again")
    if len(command.encode()) > MAX_BYTES:
        raise InvalidSetupCommand(
            f"verification.setup_command has more than {MAX_BYTES:,} bytes: put the commands into a script of the "
            "repository, and run the script"
        )
    return command.strip()


class Verification(BaseModel):
    """The commands with which a run prepares the repository."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setup_command: Annotated[str, AfterValidator(_check_command)] = Field(
        default="",
        title="Setup command",
        description="Shell commands that prepare the work tree before the agent starts, such as npm ci. Leave them "
        "empty to use the setup in the file .claude-code-headless.yaml on the default branch, if there is one. A "
        "colon alone does nothing.",
    )

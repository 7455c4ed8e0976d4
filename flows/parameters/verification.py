"""Defines the parameter group `verification`: the repository's own commands in a run."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flows.errors import InvalidSetupCommand, InvalidVerifyCommands, RunError
from flows.text_safety import is_encodable

MAX_BYTES: Final = 65_536
"""The most bytes that a text of commands may have."""

MOST_REPAIRS: Final = 10
"""The highest number of repairs that a run can be allowed."""


def has_commands(text: str) -> bool:
    """Whether a text of commands has more than empty lines, comments and colons, which do nothing."""
    lines = (line.strip() for line in text.splitlines())
    return any(line not in {"", ":"} and not line.startswith("#") for line in lines)


def _check_text(name: str, error: type[RunError]) -> AfterValidator:
    def check(text: str) -> str:
        if "\0" in text or not is_encodable(text):
            raise error(f"verification.{name} contains a NUL byte or is not valid text: enter it again")
        if len(text.encode()) > MAX_BYTES:
            raise error(
                f"verification.{name} has more than {MAX_BYTES:,} bytes: put the commands into a script of the "
                "repository, and run the script"
            )
        return text.strip()

    return AfterValidator(check)


class Verification(BaseModel):
    """The repository's own commands: those that prepare the work tree, and those that check the change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setup_command: Annotated[str, _check_text("setup_command", InvalidSetupCommand)] = Field(
        default="",
        title="Setup command",
        description="Shell commands that prepare the work tree before the agent starts, such as npm ci. Leave them "
        "empty to use the setup in the file .claude-code-headless.yaml on the default branch, if there is one. A "
        "# or a colon alone means that nothing is prepared.",
    )
    verify_commands: Annotated[str, _check_text("verify_commands", InvalidVerifyCommands)] = Field(
        default="",
        title="Verify commands",
        description="Shell commands, one on each line, that check the change before it is pushed, such as npm test. "
        "All of them must succeed. Leave them empty to use verify in the file .claude-code-headless.yaml on the "
        "default branch, if it is there. A # or a colon alone means that nothing is checked.",
    )
    max_repairs: int = Field(
        default=2,
        ge=0,
        le=MOST_REPAIRS,
        title="Repairs",
        description="How many times the agent may repair the change if a verify command fails, within the limits of "
        "the run: 0 to 10.",
    )
    on_verification_failure: Literal["keep", "push"] = Field(
        default="keep",
        title="If the verification fails",
        description="What happens to a change that still fails. keep saves it, so that deliver can push it; push "
        "pushes it. The run fails in both cases.",
    )

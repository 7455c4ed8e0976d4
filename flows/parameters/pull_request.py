"""Defines the parameter group `pull_request`: whether a run opens a pull request for its branch, and with what."""

from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flows.errors import InvalidPullRequest
from flows.parameters.addresses import check_branch_name
from flows.parameters.shared import BRANCH_RULE
from flows.text_safety import is_encodable, one_line

NEVER: Final = "never"
DRAFT: Final = "draft"
READY: Final = "ready"

_TITLE_CHARACTERS: Final = 240
"""The forges accept 255, and a mark may come in front."""
_NAME_CHARACTERS: Final = 100
_MOST_NAMES: Final = 20
_REVIEWERS: Final = "reviewers"


def _check_base(name: str) -> str:
    return check_branch_name(name, "pull_request.pull_request_base") if name else name


def _check_title(title: str) -> str:
    title = title.strip()
    if not is_encodable(title) or one_line(title) != title or len(title) > _TITLE_CHARACTERS:
        raise InvalidPullRequest(
            f"pull_request.pull_request_title is not one line of at most {_TITLE_CHARACTERS} characters: shorten it, "
            "or leave it empty to use the title that the agent gives"
        )
    return title


def _check_names(parameter: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Return a check of a list of names. A forge may join them with commas, so no name may contain one."""

    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        stripped = tuple(name.strip() for name in names)
        for name in stripped:
            if parameter == _REVIEWERS and name.startswith("@"):
                raise InvalidPullRequest(f"pull_request.{parameter} has {name!r}: give the name without the @")
            is_line = is_encodable(name) and one_line(name) == name
            if not name or not is_line or "," in name or len(name) > _NAME_CHARACTERS:
                raise InvalidPullRequest(
                    f"pull_request.{parameter} has {name!r}, which is no name: give names without commas, each of at "
                    f"most {_NAME_CHARACTERS} characters"
                )
        if len(stripped) > _MOST_NAMES:
            raise InvalidPullRequest(f"pull_request.{parameter} has {len(stripped)} names: give at most {_MOST_NAMES}")
        return tuple(dict.fromkeys(stripped))

    return check


class PullRequest(BaseModel):
    """The pull request of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pull_request: Literal["never", "draft", "ready"] = Field(
        default="never",
        title="Open a pull request",
        description="Whether the run opens a pull request for its branch, as a draft or ready for review. If a "
        "verification was asked for and did not pass, or the change touches the checks, it is always a draft. A run on "
        "a branch that has a pull request updates that one.",
    )
    pull_request_base: Annotated[str, AfterValidator(_check_base), BRANCH_RULE] = Field(
        default="",
        title="Branch to merge into",
        description="Branch that the pull request is for. Leave it empty to use the branch that the work started from, "
        "or the default branch.",
    )
    pull_request_title: Annotated[str, AfterValidator(_check_title)] = Field(
        default="",
        title="Title",
        description="Title of the pull request. Leave it empty to use the title that the agent gives, or else the "
        "first line of the commit message.",
    )
    pull_request_labels: Annotated[tuple[str, ...], AfterValidator(_check_names("pull_request_labels"))] = Field(
        default=(),
        title="Labels",
        description="Labels of the pull request. If the forge refuses one, the report says so.",
    )
    reviewers: Annotated[tuple[str, ...], AfterValidator(_check_names(_REVIEWERS))] = Field(
        default=(),
        title="Reviewers",
        description="User names of the people who are asked for a review; on GitHub also organisation/team, and ids on "
        "Bitbucket and Azure DevOps. If the forge refuses one, the report says so.",
    )

    @property
    def is_wanted(self) -> bool:
        """Whether the run opens a pull request."""
        return self.pull_request != NEVER


class DeliveredPullRequest(PullRequest):
    """The pull request of a delivery. What is empty is as in the run that made the change."""

    pull_request: Literal["", "never", "draft", "ready"] = Field(  # type: ignore[assignment]
        default="",
        title="Open a pull request",
        description="Whether the delivery opens a pull request for the branch: never, draft or ready. Leave it empty "
        "to do what the run asked for.",
    )

    def over(self, saved: PullRequest) -> PullRequest:
        """Return the parameters of a run, replaced by those that the delivery sets."""
        changes = {name: value for name, value in self if value}
        return saved.model_copy(update=changes)

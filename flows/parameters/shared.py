"""Defines the parameters that several flows or blocks share, each with its check, help text and rule for the form."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from flows.errors import InvalidForgeApiUrl, InvalidRegion, InvalidReviewersHeard, InvalidSecretId, RunError
from flows.forges.table import FORGE_NAMES
from flows.parameters.addresses import BRANCH_PATTERN
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.fields import FormRule, form_pattern

DEFAULT_SECRET_ID: Final = "claude-headless/git-credentials"  # noqa: S105 (the name of a secret, not a secret)
DEFAULT_REGION: Final = "us-east-1"

_SECRET_ID_PATTERN: Final = "[A-Za-z0-9_/+=.@:-]{1,512}"  # noqa: S105 (the pattern of a name)
_REGION_PATTERN: Final = "[a-z]{2}(-[a-z]+)+-[0-9]"

_MOST_REVIEWERS: Final = 50
_ID_CHARACTERS: Final = 200

BRANCH_RULE: Final[FormRule] = form_pattern("a valid branch name, such as feature/todo-api", f"|{BRANCH_PATTERN}")


def matches(pattern: str, error: type[RunError], message: str) -> AfterValidator:
    """Return a validator that requires the whole text to match `pattern`.

    Args:
        pattern: The regular expression.
        error: The error to raise if the text does not match.
        message: The error's message, in which `{value!r}` stands for the text.
    """

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise error(message.format(value=value))
        return value

    return AfterValidator(check)


def _check_reviewers(ids: tuple[str, ...]) -> tuple[str, ...]:
    stripped = tuple(dict.fromkeys(each.strip() for each in ids))
    if len(stripped) > _MOST_REVIEWERS or any(not each or len(each) > _ID_CHARACTERS for each in stripped):
        raise InvalidReviewersHeard(
            f"reviewers_heard has an empty or a long id, or more than {_MOST_REVIEWERS} ids: give the ids of accounts, "
            "as the report of a run lists them"
        )
    return stripped


GitCredentialsSecretId = Annotated[
    str,
    matches(
        _SECRET_ID_PATTERN,
        InvalidSecretId,
        "git_credentials_secret_id {value!r} is not the name or ARN of a secret in AWS Secrets Manager",
    ),
    form_pattern("the name or ARN of a secret", _SECRET_ID_PATTERN),
    Field(
        title="Git credentials in AWS",
        description='Name or ARN of the secret in AWS Secrets Manager that contains {"token": …, "email": …}.',
    ),
]
GitCredentialsBlock = Annotated[
    str,
    Field(
        title="Git Credentials block",
        description="Name of a Git Credentials block to use instead of the secret in AWS.",
    ),
]
AwsRegion = Annotated[
    str,
    matches(_REGION_PATTERN, InvalidRegion, "aws_region {value!r} is not a valid AWS region (example: us-east-1)"),
    form_pattern("such as us-east-1", _REGION_PATTERN),
    Field(title="AWS region", description="AWS region of the git credentials secret, the instructions and Bedrock."),
]
AllowDefaultBranch = Annotated[
    bool,
    Field(
        title="Allow pushing to the default branch",
        description="Allow the run to push to the repository's default branch.",
    ),
]
Forge = Annotated[
    str,
    matches(
        f"|{'|'.join(FORGE_NAMES)}",
        InvalidForgeApiUrl,
        f"forge {{value!r}} is not one of {', '.join(FORGE_NAMES)}",
    ),
    FormRule({"enum": ["", *FORGE_NAMES]}),
    Field(
        title="Kind of git host",
        description="Kind of the git host. Leave it empty to recognise it by its name.",
    ),
]
ForgeApiUrl = Annotated[
    str,
    Field(
        title="Address of the API of the git host",
        description="Address of the git host's API, such as https://git.example.com/gitlab/api/v4. Leave it empty to "
        "use the usual address. The git token goes there, so it is on the repository's own server, or is listed in the "
        "Git Credentials block.",
    ),
]
ReviewersHeard = Annotated[
    tuple[str, ...],
    AfterValidator(_check_reviewers),
    Field(
        title="Reviewers who are heard",
        description="Ids of accounts whose comments count although the git host does not tell that they may push, such "
        "as bots. The report lists the ids of those who were not heard.",
    ),
]
Policy = Annotated[
    ChangePolicy,
    Field(
        title="What may be pushed",
        description="What a pushed change may contain. A change that contains anything else is saved, but not pushed.",
    ),
]

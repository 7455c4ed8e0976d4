"""The variables of `python -m flows`: how each type is read, and how messages name them."""

from typing import Any

import pytest

from flows import errors
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.environment import InvalidVariable, asks_to_start, parameters, table, with_variables
from flows.parameters.fields import leaves_of
from flows.parameters.implement import ImplementParameters
from flows.parameters.limits import Limits
from flows.parameters.pull_request import PullRequest
from flows.parameters.verification import Verification

REQUIRED = {"REPO_URL": "https://github.com/o/r.git", "INSTRUCTIONS": "x"}
BY_NAME = {leaf.path: leaf.variable for leaf in leaves_of(ImplementParameters)}


def test_every_variable_except_the_providers_is_the_parameters_name_in_capitals() -> None:
    exceptions = {path: variable for path, variable in BY_NAME.items() if variable != path.rpartition(".")[2].upper()}
    assert exceptions == {"provider": "CLAUDE_PROVIDER"}
    assert len(set(BY_NAME.values())) == len(BY_NAME)


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("BRANCH_NAME", "feature/x", "branch_name", "feature/x"),
        ("CLAUDE_PROVIDER", "anthropic", "provider", "anthropic"),
        ("CLONE_DEPTH", "0", "clone_depth", 0),
        ("DISABLE_PROMPT_CACHE", "True", "disable_prompt_cache", True),
        ("ALLOW_DEFAULT_BRANCH", "false", "allow_default_branch", False),
        ("CLAUDE_SETTINGS", '{"language": "de"}', "claude_settings", {"language": "de"}),
        ("MAX_BUDGET_USD", "1.5", "limits", Limits(max_budget_usd=1.5)),
        ("ALLOW_SECRETS_IN", "a/*, b,", "policy", ChangePolicy(allow_secrets_in=("a/*", "b"))),
        ("ALLOW_SUBMODULES", "true", "policy", ChangePolicy(allow_submodules=True)),
    ],
)
def test_a_variable_is_read_according_to_the_type_of_its_parameter(
    variable: str,
    text: str,
    name: str,
    value: Any,  # noqa: ANN401
) -> None:
    assert parameters({**REQUIRED, variable: text})[name] == value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("BRANCH_NAME", "'feature/x'", "branch_name", "feature/x"),
        ("BRANCH_NAME", ' "feature/x" ', "branch_name", "feature/x"),
        ("BRANCH_NAME", "feature/x\r", "branch_name", "feature/x"),
        ("BASE_BRANCH", '""', "base_branch", None),
        ("REPO_URL", '"https://github.com/o/r"', "repo_url", "https://github.com/o/r"),
        ("CLONE_DEPTH", "'7'", "clone_depth", 7),
        ("DISABLE_PROMPT_CACHE", '"TRUE"', "disable_prompt_cache", True),
        ("ALLOW_SUBMODULES", "'True'", "policy", ChangePolicy(allow_submodules=True)),
        ("MAX_TURNS", '"5"', "limits", Limits(max_turns=5)),
        ("CLAUDE_SETTINGS", """'{"language": "de"}'""", "claude_settings", {"language": "de"}),
        ("CLAUDE_SETTINGS", '"{"language": "de"}"', "claude_settings", {"language": "de"}),
        ("CLAUDE_SETTINGS", r'"{\"language\": \"de\"}"', "claude_settings", {"language": "de"}),
        ("COMMIT_MESSAGE", '"Add a list"', "commit_message", "Add a list"),
        ("COMMIT_MESSAGE", '"Add" and "remove"', "commit_message", '"Add" and "remove"'),
        ("COMMIT_MESSAGE", '"Add a list', "commit_message", '"Add a list'),
        ("INSTRUCTIONS", "Say 'hello'", "instructions", "Say 'hello'"),
    ],
)
def test_quotes_and_white_space_around_a_value_are_not_part_of_it(
    variable: str,
    text: str,
    name: str,
    value: Any,  # noqa: ANN401
) -> None:
    assert parameters({**REQUIRED, variable: text}).get(name) == value


@pytest.mark.parametrize("text", ["true", "True", "TRUE", ' "true"\r', "'True'"])
def test_a_run_is_started_by_true_in_any_notation(text: str) -> None:
    assert asks_to_start({"PROCESS_REQUIREMENTS": text})


@pytest.mark.parametrize("text", ["", "false", "False", "no", "0", '""', "maybe"])
def test_a_run_is_not_started_by_anything_else(text: str) -> None:
    assert not asks_to_start({"PROCESS_REQUIREMENTS": text})


@pytest.mark.parametrize("text", ["1", "yes", "ON", "'Y'"])
def test_another_word_for_true_is_refused_with_the_value_to_use(text: str) -> None:
    with pytest.raises(InvalidVariable, match="set it to true"):
        asks_to_start({"PROCESS_REQUIREMENTS": text})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert parameters({**REQUIRED, **dict.fromkeys(set(BY_NAME.values()) - REQUIRED.keys(), "")}) == {
        "repo_url": REQUIRED["REPO_URL"],
        "instructions": "x",
        "limits": Limits(),
        "verification": Verification(),
        "policy": ChangePolicy(),
        "pull_request": PullRequest(),
    }


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"REPO_URL": ""}, "REPO_URL is not set: HTTPS URL"),
        ({"INSTRUCTIONS": ""}, "INSTRUCTIONS_S3_URI is not set"),
        ({"CLONE_DEPTH": "all"}, "CLONE_DEPTH cannot be used: Input should be a valid integer"),
        ({"CLAUDE_PROVIDER": "x"}, "CLAUDE_PROVIDER cannot be used: Input should be 'bedrock' or 'anthropic'"),
        ({"ALLOW_DEFAULT_BRANCH": "1"}, "ALLOW_DEFAULT_BRANCH cannot be used: it must be true or false"),
        ({"ALLOW_SUBMODULES": "yes"}, "ALLOW_SUBMODULES cannot be used: it must be true or false"),
        ({"CLAUDE_SETTINGS": "{"}, "CLAUDE_SETTINGS cannot be used: claude_settings is not JSON"),
        ({"MAX_TURNS": "-1"}, "MAX_TURNS cannot be used: Input should be greater than or equal to 0"),
        ({"MAX_REPAIRS": "11"}, "MAX_REPAIRS cannot be used: Input should be less than or equal to 10"),
        ({"ON_VERIFICATION_FAILURE": "x"}, "ON_VERIFICATION_FAILURE cannot be used: Input should be 'keep' or 'push'"),
        ({"MAX_BUDGET_USD": "much"}, "MAX_BUDGET_USD cannot be used: Input should be a valid number"),
    ],
)
def test_the_message_names_a_missing_or_wrong_variable(variables: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidVariable) as caught:
        parameters({**REQUIRED, **variables})
    assert str(caught.value).startswith(message)


def test_a_readable_value_that_is_wrong_raises_its_named_error() -> None:
    with pytest.raises(errors.InvalidRegion):
        parameters({**REQUIRED, "AWS_REGION": "here"})


def test_a_message_names_variables_instead_of_parameters() -> None:
    message = "raise limits.max_turns, or set policy.allow_ci_changes; repo_url and instructions stay"
    assert with_variables(message) == "raise MAX_TURNS, or set ALLOW_CI_CHANGES; REPO_URL and instructions stay"


def test_the_help_fits_on_a_terminal() -> None:
    assert all(len(line) <= 120 for line in table().splitlines())

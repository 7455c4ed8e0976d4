"""A flow's flat parameters, taken from its model: a new field appears everywhere, and the body checks the values."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow, flow
from prefect.exceptions import ParameterTypeError
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from pydantic import Field

from flows import errors
from flows.parameters import environment, page
from flows.parameters.deliver import DeliverParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.limits import Limits
from flows.parameters.signature import RawParameters, flow_parameters
from flows.parameters.verification import Verification

PROJECT = Path(__file__).parents[3]
PARAMETERS = {"repo_url": "https://github.com/o/r.git", "instructions": "x"}


class WithLargeFiles(ImplementParameters):
    """The parameters of `implement`, with one more parameter."""

    git_lfs: bool = Field(default=False, title="Git LFS", description="Fetch large files as well.")


@flow
@flow_parameters
def with_large_files(parameters: RawParameters[WithLargeFiles]) -> WithLargeFiles:
    """Do nothing."""
    return parameters.checked(branch_name="feature/x")


def test_a_new_field_of_the_model_appears_in_the_form_the_variables_and_the_page() -> None:
    assert parameter_schema(with_large_files).properties["git_lfs"] == {
        "default": False,
        "description": "Fetch large files as well.",
        "position": len(ImplementParameters.model_fields),
        "title": "Git LFS",
        "type": "boolean",
    }
    values = environment.read({"REPO_URL": "x", "GIT_LFS": "true"}, WithLargeFiles)
    assert values == {
        "repo_url": "x",
        "git_lfs": True,
        "limits": Limits(),
        "verification": Verification(),
        "policy": values["policy"],
        "pull_request": values["pull_request"],
    }
    [help_row] = [row for row in environment.table(WithLargeFiles).splitlines() if "GIT_LFS" in row]
    assert " ".join(help_row.split()) == "GIT_LFS Fetch large files as well. (true or false; default false)"
    row = "| `git_lfs` | `GIT_LFS` | `false` | Fetch large files as well. |"
    assert row in page.table(WithLargeFiles, variables=True).splitlines()
    assert with_large_files.fn(**PARAMETERS, git_lfs=True).git_lfs is True


def test_the_docstring_contains_the_help_of_every_parameter() -> None:
    documented = inspect.getdoc(with_large_files.fn)
    assert documented
    assert documented.startswith("Do nothing.\n\nArgs:\n    repo_url: ")
    assert documented.endswith("\n    git_lfs: Fetch large files as well.")


def test_all_parameters_are_keywords_and_one_is_required() -> None:
    parameters = inspect.signature(with_large_files.fn).parameters.values()
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    assert [parameter.name for parameter in parameters if parameter.default is parameter.empty] == ["repo_url"]


def test_prefect_converts_values_and_refuses_values_of_the_wrong_type() -> None:
    parameters = {**PARAMETERS, "clone_depth": "7", "limits": {"max_turns": 3}}
    validated = with_large_files.validate_parameters(parameters)
    assert (validated["clone_depth"], validated["limits"]) == (7, Limits(max_turns=3))
    with pytest.raises(ParameterTypeError):
        with_large_files.validate_parameters({**PARAMETERS, "provider": "azure"})
    with pytest.raises(ParameterTypeError):
        with_large_files.validate_parameters({**PARAMETERS, "limits": {"max_turns": -1}})


def test_a_wrong_value_reaches_the_body_and_raises_its_named_error_there() -> None:
    wrong = {**PARAMETERS, "aws_region": "x"}
    assert with_large_files.validate_parameters(wrong)["aws_region"] == "x"
    with pytest.raises(errors.InvalidRegion, match=r"aws_region 'x' is not a valid AWS region \(example: us-east-1\)"):
        with_large_files.fn(**wrong)


@pytest.mark.parametrize(("branch", "expected"), [("", "feature/of-the-run"), ("own", "own")])
def test_an_empty_parameter_gets_the_default_of_the_run(branch: str, expected: str) -> None:
    raw = RawParameters(ImplementParameters, {**PARAMETERS, "branch_name": branch})
    assert raw.checked(branch_name="feature/of-the-run").branch_name == expected


def test_parameters_without_a_branch_need_a_default_from_the_run() -> None:
    with pytest.raises(errors.InvalidBranchName):
        RawParameters(ImplementParameters, PARAMETERS).checked()


def test_a_delivery_may_leave_the_branch_name_empty() -> None:
    assert RawParameters(DeliverParameters, {"flow_run_id": "x"}).checked().branch_name == ""
    with pytest.raises(errors.InvalidBranchName):
        RawParameters(DeliverParameters, {"flow_run_id": "x", "branch_name": "a..b"}).checked()


@pytest.mark.parametrize(
    "entrypoint", ["flows.implement.implement", "flows.deliver.deliver", "flows.follow_up.follow_up"]
)
def test_prefect_deploy_sees_the_flat_parameters(entrypoint: str) -> None:
    loaded: Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    assert "aws_region" in loaded.parameters.properties
    assert "parameters" not in loaded.parameters.properties


def test_reading_the_variables_does_not_import_prefect() -> None:
    code = "import sys, flows.parameters.environment; print([name for name in sys.modules if name == 'prefect'])"
    completed_process = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    assert completed_process.stdout.strip() == "[]"

"""The form: what it shows for each parameter, and which values it and Prefect's API refuse before a run exists."""

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import Flow
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import is_valid_schema, validate

from deployments.local.stack import LocalStack
from flows.deliver import deliver
from flows.errors import RunError
from flows.follow_up import follow_up
from flows.implement import implement
from flows.parameters.addresses import RepoUrl, S3Uri, check_branch_name
from flows.parameters.implement import ImplementParameters
from flows.parameters.shared import DEFAULT_SECRET_ID

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

PARAMETERS = {"repo_url": "https://github.com/o/r.git", "instructions_s3_uri": "s3://bucket/main.md"}
RUN_ID = "01a209bf-c200-70d0-8c32-6634ec7187d3"


def form(flow: Flow[..., Any] = implement) -> dict[str, Any]:
    """Return the schema of the form, made as `prefect deploy`, `serve` and `to_deployment` make it."""
    return parameter_schema(flow).model_dump_for_openapi()


def faults(**values: Any) -> list[str]:  # noqa: ANN401 (any value that a person types)
    return [error.json_path for error in validate({**PARAMETERS, **values}, form())]


def test_the_form_begins_with_the_task_then_the_branches_then_the_model() -> None:
    properties = form()["properties"]
    ordered = sorted(properties, key=lambda name: properties[name]["position"])
    assert ordered[:9] == [
        "repo_url", "instructions_s3_uri", "instructions",
        "base_branch", "branch_name", "commit_message",
        "provider", "claude_model_id", "limits",
    ]  # fmt: skip
    assert ordered[-1] == "policy"


@pytest.mark.parametrize("flow", [implement, deliver, follow_up], ids=["implement", "deliver", "follow_up"])
def test_every_parameter_has_its_own_title_and_description(flow: Flow[..., Any]) -> None:
    schema = form(flow)
    is_valid_schema(schema)
    assert len(schema.get("required", ())) == (0 if flow is follow_up else 1)  # one of two addresses
    for name, field in schema["properties"].items():
        assert re.fullmatch(r"[A-Z][\w ]+", field["title"])
        assert field["title"] != name
        assert len(field["description"]) > 15
    for group in schema["definitions"].values():
        assert all(field["title"] and field["description"] for field in group["properties"].values())


def test_the_provider_is_a_choice_and_the_settings_are_an_object() -> None:
    properties = form()["properties"]
    assert properties["provider"]["enum"] == ["bedrock", "anthropic"]
    assert properties["claude_settings"]["type"] == "object"


def test_the_repository_and_the_instructions_are_enough() -> None:
    assert not faults()
    defaults = {name: field["default"] for name, field in form()["properties"].items() if "default" in field}
    assert not faults(**defaults)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repo_url", ""),
        ("repo_url", "git@github.com:o/r.git"),
        ("repo_url", "https://user:password@github.com/o/r.git"),
        ("repo_url", "http://github.com/o/r.git"),
        ("repo_url", "https://github.com"),
        ("repo_url", "https://github.com/o/r.git?token=x"),
        ("repo_url", "file:///tmp/x"),
        ("instructions_s3_uri", "https://bucket.s3.amazonaws.com/x.md"),
        ("instructions_s3_uri", "s3://Bucket/x.md"),
        ("instructions_s3_uri", "s3://bucket/*.md"),
        ("branch_name", "two words"),
        ("branch_name", "-x"),
        ("branch_name", "a..b"),
        ("branch_name", "x.lock"),
        ("base_branch", "refs/heads/x"),
        ("commit_message", " \n"),
        ("provider", "azure"),
        ("claude_model_id", "--model"),
        ("limits", {"max_turns": -1}),
        ("limits", {"max_budget_usd": "much"}),
        ("clone_depth", -1),
        ("clone_depth", "all"),
        ("git_credentials_secret_id", "no secret"),
        ("aws_region", "Frankfurt"),
        ("policy", {"max_deleted_share": 2}),
    ],
)
def test_an_impossible_value_is_refused_at_its_field(name: str, value: object) -> None:
    assert [path.split(".")[1] for path in faults(**{name: value})] == [name]


REPO_URLS = ["https://github.com/o/r", "https://h:8443/r.git", "http://127.0.0.1:80/r", "http://localhost/r",
             "http://[::1]:3000/r.git", "http://127.1.2.3/a/b/c", "https://git.example.com/~u/é.git"]  # fmt: skip
S3_URIS = ["s3://bucket/", "s3://bucket/*", "s3://bucket/a/*", "s3://bucket/a/", "s3://bucket/a b/é.md", "s3://b-1/x"]
BRANCHES = ["x", "feature/é", "a.b", "refs", "a-b_c/1", "HEADs", "a@b", "lock", "x.lockx", "a/-b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("repo_url", url) for url in REPO_URLS),
        *(("instructions_s3_uri", uri) for uri in S3_URIS),
        *(("branch_name", branch) for branch in BRANCHES),
        *(("base_branch", branch) for branch in BRANCHES),
        ("claude_model_id", "us.anthropic.claude-sonnet-5-5-20260101-v1:0[1m]"),
        (
            "git_credentials_secret_id",
            f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{DEFAULT_SECRET_ID}-AbCdEf",
        ),
        ("aws_region", "us-gov-west-1"),
    ],
)
def test_the_form_accepts_every_value_that_a_run_accepts(name: str, value: str) -> None:
    ImplementParameters(
        **{**PARAMETERS, "branch_name": "x", **({name: value} if name in ImplementParameters.model_fields else {})}
    )
    assert not faults(**{name: value})


TYPED = st.text("ab/.@-~*: \u00a0é{[", max_size=12)


@given(TYPED)
def test_no_pattern_is_stricter_than_the_check(text: str) -> None:
    for name, value, check in (
        ("repo_url", f"https://h/{text}", RepoUrl.parse),
        ("instructions_s3_uri", f"s3://bucket/{text}", S3Uri.parse),
        ("branch_name", text, check_branch_name),
    ):
        try:
            check(value)
        except RunError:
            continue
        assert not faults(**{name: value})


@pytest.mark.skipif(not shutil.which("node"), reason="needs node, which reads the patterns like a browser")
def test_a_browser_can_read_the_patterns() -> None:
    patterns = [field["pattern"] for field in form()["properties"].values() if "pattern" in field]
    script = "process.argv.slice(1).forEach(pattern => new RegExp(pattern, 'u'))"
    subprocess.run(["node", "-e", script, *patterns], check=True)


def test_the_api_refuses_wrong_parameters_before_a_run_exists(stack: LocalStack) -> None:
    deployment = cast("RunnerDeployment", implement.to_deployment("form", entrypoint_type=EntrypointType.MODULE_PATH))
    url = f"{stack.prefect_api_url}/deployments/{deployment.apply()}/create_flow_run"
    response = httpx.post(url, json={"parameters": {**PARAMETERS, "repo_url": "git@github.com:o/r.git"}})
    assert response.status_code == 409
    assert "'repo_url'" in response.json()["detail"]
    assert "an https URL without user or token" in response.json()["detail"]
    assert httpx.post(url, json={"parameters": PARAMETERS}).status_code == 201


def test_deliver_asks_for_the_id_of_a_run() -> None:
    assert not validate({"flow_run_id": RUN_ID}, form(deliver))
    assert validate({"flow_run_id": "todo @ feature/x"}, form(deliver))

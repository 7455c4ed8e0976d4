"""From `run` to what ECS is asked: a real worker of the pool, and what moto received from it."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from flows.state.store import RunStore
from tests.support.cloud import Made

pytestmark = pytest.mark.xdist_group("aws")

REPO = ("--repo-url", "https://github.com/your-org/your-repo.git")
S3 = ("--instructions", "s3://bucket/folder/*")


def length_of(said: str) -> int:
    found = re.search(r"overrides are ([\d,]+) of 8,192", said)
    assert found, said
    return int(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def submitted(made: Made) -> dict[str, Any]:
    """Start a run, let a worker submit it, and return what was said before and what ECS has of it."""
    given = ("run", *REPO, *S3, "--env", "HTTPS_PROXY=http://proxy.example:3128", "--param", "clone_depth=7")
    foretold = length_of(made.cloud.done(*given, "--dry-run"))
    said = made.cloud.done(*given)
    command = [
        sys.executable,
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        "claude-code-ecs",
        "--type",
        "ecs",
        "--run-once",
    ]
    variables = {"AWS_DEFAULT_REGION": "us-east-1", "PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_ENABLED": "false"}
    worked = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=90, check=False
    )
    ecs = made.cloud.client("ecs")
    arns = ecs.list_tasks(cluster=made.cloud.project)["taskArns"]
    assert len(arns) == 1, worked.stdout + worked.stderr
    task = ecs.describe_tasks(cluster=made.cloud.project, tasks=arns, include=["TAGS"])["tasks"][0]
    definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
    return {"said": said, "foretold": foretold, "task": task, "definition": definition}


def test_run_prints_the_address_of_the_run(submitted: dict[str, Any]) -> None:
    assert re.search(r"started \S+: http://127\.0\.0\.1:\d+/runs/flow-run/[0-9a-f-]{36}", submitted["said"])


def test_the_overrides_length_is_foretold(submitted: dict[str, Any]) -> None:
    actual = len(json.dumps(submitted["task"]["overrides"]))
    assert actual <= submitted["foretold"] <= actual + 200, (actual, submitted["foretold"])


def test_parameters_are_not_in_the_overrides_and_variables_are(submitted: dict[str, Any]) -> None:
    text = json.dumps(submitted["task"]["overrides"])
    assert "your-repo" not in text
    [container] = submitted["task"]["overrides"]["containerOverrides"]
    variables = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert variables["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert variables["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"
    assert container["command"] == ["python", "-m", "flows.runtime.execute"]
    assert "PREFECT_API_KEY" not in variables


def test_the_task_keeps_its_run_in_the_results_bucket(submitted: dict[str, Any], made: Made) -> None:
    from prefect.results import get_default_result_storage  # noqa: PLC0415
    from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, temporary_settings  # noqa: PLC0415

    [container] = submitted["task"]["overrides"]["containerOverrides"]
    variables = {pair["name"]: pair["value"] for pair in container["environment"]}
    bucket = f"{made.cloud.project}-results-123456789012-us-east-1"
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: variables["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"]}):
        storage: Any = get_default_result_storage()
    path = RunStore(storage, "the-run").save_sealed("plan", b"x")
    assert storage.credentials.model_dump(exclude_unset=True)["aws_secret_access_key"] is None
    assert b"x" in made.cloud.client("s3").get_object(Bucket=bucket, Key=path)["Body"].read()
    made.cloud.client("s3").delete_object(Bucket=bucket, Key=path)


def test_the_task_definition_is_as_configured(submitted: dict[str, Any], made: Made) -> None:
    definition, project = submitted["definition"], made.cloud.project
    [container] = definition["containerDefinitions"]
    assert container["image"].startswith(f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{project}:v1@sha256:")
    assert container["stopTimeout"] == 120
    assert container["logConfiguration"]["options"] == {
        "awslogs-create-group": "false",
        "awslogs-group": project,
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "run",
    }
    assert definition["requiresCompatibilities"] == ["FARGATE"]
    assert (definition["cpu"], definition["memory"]) == ("2048", "8192")
    assert definition["executionRoleArn"] == f"arn:aws:iam::123456789012:role/{project}-execution"
    assert submitted["task"]["overrides"]["taskRoleArn"] == f"arn:aws:iam::123456789012:role/{project}-task"


def test_it_is_asked_of_spot_in_the_private_subnet(submitted: dict[str, Any], made: Made) -> None:
    task = submitted["task"]
    assert task["capacityProviderName"] == "FARGATE_SPOT"
    assert {"name": "subnetId", "value": made.cloud.subnet} in task["attachments"][0]["details"]


def test_what_runs_is_of_the_family_that_the_worker_may_run(submitted: dict[str, Any], made: Made) -> None:
    assert submitted["definition"]["family"] == made.cloud.project


def test_a_variable_that_ecs_would_not_take_is_refused_before_the_run(made: Made) -> None:
    before = made.cloud.runs()
    said = made.cloud.refused("run", *REPO, *S3, "--env", f"INSTRUCTIONS={'x' * 8000}", "--env", "SMALL=1")
    assert said.startswith("OverridesTooLarge: ")
    assert "ECS takes 8,192" in said
    assert "the variable INSTRUCTIONS has 8,000 of them; upload the text to S3" in said
    assert made.cloud.runs() == before


def test_the_limit_is_where_it_should_be(made: Made) -> None:
    base = length_of(made.cloud.done("run", *REPO, *S3, "--env", "X=", "--dry-run"))
    fits = ("run", *REPO, *S3, "--dry-run", "--env")
    assert length_of(made.cloud.done(*fits, f"X={'x' * (8192 - base)}")) == 8192
    assert "are 8,193 characters" in made.cloud.refused(*fits, f"X={'x' * (8193 - base)}")


def test_parameters_that_prefect_would_not_take_are_refused(made: Made) -> None:
    said = made.cloud.refused("run", *REPO, "--param", f"instructions={'x' * 600_000}")
    assert said.startswith("ParametersTooLarge: ")
    assert "instructions has 600,002 of them; upload the text to S3" in said


def test_long_instructions_within_it_are_no_matter_of_the_overrides(made: Made) -> None:
    assert length_of(made.cloud.done("run", *REPO, "--param", f"instructions={'x' * 100_000}", "--dry-run")) < 2000

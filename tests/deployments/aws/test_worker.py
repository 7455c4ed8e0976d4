"""From the command `run` to the request to ECS: a real worker submits the run, and moto receives it."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from flows.state.store import RunStore
from tests.support.cloud import CreatedProject

pytestmark = pytest.mark.xdist_group("aws")

REPO = ("--repo-url", "https://github.com/your-org/your-repo.git")
S3 = ("--instructions", "s3://bucket/folder/*")


def length_of(output: str) -> int:
    match = re.search(r"overrides have ([\d,]+) of 8,192", output)
    assert match, output
    return int(match[1].replace(",", ""))


@pytest.fixture(scope="module")
def submitted(created_project: CreatedProject) -> dict[str, Any]:
    """Start a run, let a worker submit it, and return the command's output, its predicted length, and ECS's objects."""
    arguments = ("run", *REPO, *S3, "--env", "HTTPS_PROXY=http://proxy.example:3128", "--param", "clone_depth=7")
    expected_length = length_of(created_project.cloud.run(*arguments, "--dry-run"))
    output = created_project.cloud.run(*arguments)
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
    completed_process = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=90, check=False
    )
    ecs = created_project.cloud.client("ecs")
    arns = ecs.list_tasks(cluster=created_project.cloud.project)["taskArns"]
    assert len(arns) == 1, completed_process.stdout + completed_process.stderr
    task = ecs.describe_tasks(cluster=created_project.cloud.project, tasks=arns, include=["TAGS"])["tasks"][0]
    definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
    return {"output": output, "expected_length": expected_length, "task": task, "definition": definition}


def test_run_prints_the_address_of_the_run(submitted: dict[str, Any]) -> None:
    assert re.search(r"started \S+: http://127\.0\.0\.1:\d+/runs/flow-run/[0-9a-f-]{36}", submitted["output"])


def test_a_dry_run_predicts_the_length_of_the_overrides(submitted: dict[str, Any]) -> None:
    actual = len(json.dumps(submitted["task"]["overrides"]))
    assert actual <= submitted["expected_length"] <= actual + 200, (actual, submitted["expected_length"])


def test_the_overrides_contain_variables_but_no_parameters(submitted: dict[str, Any]) -> None:
    text = json.dumps(submitted["task"]["overrides"])
    assert "your-repo" not in text
    [container] = submitted["task"]["overrides"]["containerOverrides"]
    variables = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert variables["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert variables["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"
    assert container["command"] == ["python", "-m", "flows.runtime.execute"]
    assert "PREFECT_API_KEY" not in variables


def test_the_task_saves_its_run_in_the_results_bucket(
    submitted: dict[str, Any], created_project: CreatedProject
) -> None:
    from prefect.results import get_default_result_storage  # noqa: PLC0415
    from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, temporary_settings  # noqa: PLC0415

    [container] = submitted["task"]["overrides"]["containerOverrides"]
    variables = {pair["name"]: pair["value"] for pair in container["environment"]}
    bucket = f"{created_project.cloud.project}-results-123456789012-us-east-1"
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: variables["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"]}):
        storage: Any = get_default_result_storage()
    path = RunStore(storage, "the-run").save_sealed("plan", b"x")
    assert storage.credentials.model_dump(exclude_unset=True)["aws_secret_access_key"] is None
    assert b"x" in created_project.cloud.client("s3").get_object(Bucket=bucket, Key=path)["Body"].read()
    created_project.cloud.client("s3").delete_object(Bucket=bucket, Key=path)


def test_the_task_definition_is_as_configured(submitted: dict[str, Any], created_project: CreatedProject) -> None:
    definition, project = submitted["definition"], created_project.cloud.project
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


def test_the_task_runs_on_spot_in_the_private_subnet(
    submitted: dict[str, Any], created_project: CreatedProject
) -> None:
    task = submitted["task"]
    assert task["capacityProviderName"] == "FARGATE_SPOT"
    assert {"name": "subnetId", "value": created_project.cloud.subnet} in task["attachments"][0]["details"]


def test_the_task_definition_is_in_the_family_that_the_worker_may_run(
    submitted: dict[str, Any], created_project: CreatedProject
) -> None:
    assert submitted["definition"]["family"] == created_project.cloud.project


def test_a_variable_that_is_too_long_for_ecs_is_refused_before_the_run(created_project: CreatedProject) -> None:
    before = created_project.cloud.flow_run_count()
    output = created_project.cloud.refused("run", *REPO, *S3, "--env", f"INSTRUCTIONS={'x' * 8000}", "--env", "SMALL=1")
    assert output.startswith("OverridesTooLarge: ")
    assert "ECS accepts only 8,192" in output
    assert "the variable INSTRUCTIONS has 8,000 of them; upload the text to S3" in output
    assert created_project.cloud.flow_run_count() == before


def test_overrides_of_exactly_the_limit_are_accepted(created_project: CreatedProject) -> None:
    base = length_of(created_project.cloud.run("run", *REPO, *S3, "--env", "X=", "--dry-run"))
    fits = ("run", *REPO, *S3, "--dry-run", "--env")
    assert length_of(created_project.cloud.run(*fits, f"X={'x' * (8192 - base)}")) == 8192
    assert "have 8,193 characters" in created_project.cloud.refused(*fits, f"X={'x' * (8193 - base)}")


def test_parameters_that_are_too_large_for_prefect_are_refused(created_project: CreatedProject) -> None:
    output = created_project.cloud.refused("run", *REPO, "--param", f"instructions={'x' * 600_000}")
    assert output.startswith("ParametersTooLarge: ")
    assert "instructions has 600,002 of them; upload the text to S3" in output


def test_long_instructions_do_not_lengthen_the_overrides(created_project: CreatedProject) -> None:
    assert (
        length_of(created_project.cloud.run("run", *REPO, "--param", f"instructions={'x' * 100_000}", "--dry-run"))
        < 2000
    )

"""What the real worker requests from ECS for one run, checked on the requests that ECS received."""

import json
from collections.abc import Sequence

import pytest

from deployments.aws.account import PREFECT_SECRET
from tests.ecs.fargate import Submitted
from tests.ecs.team import PREFECT_API_KEY, Team, prefect

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

ACCOUNT = "123456789012"


def submit_and_delete(team: Team, options: Sequence[str] = ()) -> Submitted:
    """Start a run, wait until the worker has submitted its task, and delete the run; return the task."""
    run_id = team.start_run(options=options, repo_url="https://github.com/your-org/your-repo.git", instructions="Wait")
    task = team.submitted(run_id)
    prefect("flow-run", "delete", run_id)
    return task


@pytest.fixture(scope="module")
def submitted(team: Team) -> Submitted:
    """The submitted task of a run with the deployment's own job variables."""
    return submit_and_delete(team)


def test_spot_is_preferred_and_on_demand_takes_over_when_spot_has_no_capacity(submitted: Submitted) -> None:
    assert submitted.request["capacityProviderStrategy"] == [
        {"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 4},
        {"capacityProvider": "FARGATE", "base": 0, "weight": 1},
    ]
    assert "launchType" not in submitted.request, "ECS refuses a request that has both"
    assert submitted.definition["requiresCompatibilities"] == ["FARGATE"]


def test_it_is_in_the_teams_cluster_subnet_and_security_group_without_a_public_address(
    submitted: Submitted, team: Team
) -> None:
    assert submitted.request["cluster"] == team.cloud.project
    assert submitted.definition["networkMode"] == "awsvpc"
    assert submitted.request["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": [team.cloud.subnet],
        "securityGroups": [team.cloud.security_group],
        "assignPublicIp": "DISABLED",
    }


def test_ecs_starts_it_with_one_role_and_it_runs_with_another(submitted: Submitted, team: Team) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/{team.cloud.project}"
    assert submitted.definition["executionRoleArn"] == f"{role}-execution"
    assert submitted.request["overrides"]["taskRoleArn"] == f"{role}-task"


def test_its_image_is_the_one_in_the_registry_by_digest(submitted: Submitted, team: Team) -> None:
    project = team.cloud.project
    [image] = team.cloud.client("ecr").describe_images(repositoryName=project)["imageDetails"]
    registry = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
    assert submitted.container["image"] == f"{registry}/{project}:v1@{image['imageDigest']}"


def test_its_size_its_logs_and_its_time_to_stop(submitted: Submitted, team: Team) -> None:
    assert (submitted.definition["cpu"], submitted.definition["memory"]) == ("2048", "8192")
    assert submitted.definition["ephemeralStorage"] == {"sizeInGiB": 30}
    assert submitted.container["stopTimeout"] == 120
    assert submitted.container["logConfiguration"] == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-create-group": "false",
            "awslogs-group": team.cloud.project,
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "run",
        },
    }


def test_it_can_write_only_to_a_volume_at_tmp_and_prefects_home_is_there(submitted: Submitted) -> None:
    assert submitted.container["readonlyRootFilesystem"] is True
    [volume] = submitted.definition["volumes"]
    assert submitted.container["mountPoints"] == [
        {"sourceVolume": volume["name"], "containerPath": "/tmp", "readOnly": False}  # noqa: S108
    ]
    assert submitted.variables["PREFECT_HOME"] == "/tmp/prefect", "it is the worker's own home"  # noqa: S108


def test_the_api_key_is_passed_by_its_secrets_arn_and_ecs_never_receives_it(submitted: Submitted, team: Team) -> None:
    arn = team.cloud.client("secretsmanager").describe_secret(SecretId=PREFECT_SECRET)["ARN"]
    assert submitted.container["secrets"] == [{"name": "PREFECT_API_KEY", "valueFrom": arn}]
    assert submitted.secrets() == {"PREFECT_API_KEY": PREFECT_API_KEY}
    assert not {"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"} & submitted.variables.keys()
    assert PREFECT_API_KEY not in json.dumps([call.request for call in team.aws.calls])


def test_its_command_is_the_projects_and_parameters_are_not_in_the_overrides(submitted: Submitted) -> None:
    assert submitted.command == ["python", "-m", "flows.runtime.execute"]
    assert submitted.variables["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"
    assert "your-repo" not in json.dumps(submitted.request)


def test_a_restarted_worker_would_find_the_same_definition(submitted: Submitted, team: Team) -> None:
    assert submitted.definition["family"] == team.cloud.project
    families = {call.request["family"] for call in team.aws.received("RegisterTaskDefinition")}
    assert families == {team.cloud.project}


def test_a_runs_job_variables_set_its_size_and_its_image_for_this_run_alone(submitted: Submitted, team: Team) -> None:
    size = {"cpu": 4096, "memory": 16384, "ephemeral_storage": 100}
    image = f"{submitted.container['image'].partition('@')[0]}@sha256:{'1' * 64}"
    options = [
        part for name, value in (size | {"image": image}).items() for part in ("--job-variable", f"{name}={value}")
    ]
    larger = submit_and_delete(team, options)
    assert larger.definition["ephemeralStorage"] == {"sizeInGiB": 100}
    assert (larger.definition["cpu"], larger.definition["memory"]) == ("4096", "16384")
    assert (larger.request["overrides"]["cpu"], larger.request["overrides"]["memory"]) == ("4096", "16384")
    assert larger.container["image"] == image
    next_runs = [submit_and_delete(team) for _ in range(2)]
    assert {run.definition["taskDefinitionArn"] for run in next_runs} == {next_runs[0].definition["taskDefinitionArn"]}
    assert next_runs[0].definition["ephemeralStorage"] == {"sizeInGiB": 30}
    assert next_runs[0].container["image"] == submitted.container["image"]

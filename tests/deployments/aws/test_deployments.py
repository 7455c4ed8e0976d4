"""The deployments of prefect.yaml, as `prefect deploy --all` created them on a server."""

from typing import TYPE_CHECKING

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient

from deployments.aws.template import FOLDER
from deployments.prefect.deployed import Deployments
from flows.deliver import deliver
from flows.implement import implement
from tests.support.cloud import CreatedProject

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

pytestmark = pytest.mark.xdist_group("aws")

DEFINITION = FOLDER.parents[1] / "prefect.yaml"


@pytest.fixture(scope="module")
def deployed(created_project: CreatedProject) -> "dict[str, DeploymentResponse]":
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    assert created_project.state["deployments"]
    with get_client(sync_client=True) as prefect:
        return {name: prefect.read_deployment_by_name(f"implement/{name}") for name in ("ecs", "nightly", "local")}


def steps_of(deployment: "DeploymentResponse") -> list[dict[str, dict[str, str]]]:
    """Return the expected pull steps: none for the image, and for a local machine one that changes to the checkout."""
    checkout = deployment.job_variables.get("working_dir")
    return [{"prefect.deployments.steps.set_working_directory": {"directory": checkout}}] if checkout else []


def test_the_deployments_run_the_flow_of_the_image_without_pull_steps(
    deployed: "dict[str, DeploymentResponse]",
) -> None:
    for deployment in deployed.values():
        assert deployment.entrypoint == "flows.implement.implement"
        assert deployment.pull_steps == steps_of(deployment)
        assert deployment.parameters == {}
        assert deployment.enforce_parameter_schema
        schema = deployment.parameter_openapi_schema
        assert schema is not None
        assert set(schema["properties"]) == set(implement.parameters.properties)


def test_the_file_sets_no_parameters() -> None:
    for deployment in yaml.safe_load(DEFINITION.read_text())["deployments"]:
        assert "parameters" not in deployment


def test_runs_on_aws_use_an_image_digest_and_are_rescheduled_when_interrupted(
    deployed: "dict[str, DeploymentResponse]",
) -> None:
    for name in ("ecs", "nightly"):
        variables = deployed[name].job_variables
        assert deployed[name].work_pool_name == "claude-code-ecs"
        assert "@sha256:" in variables["image"]
        assert variables["env"]["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"
        assert not [key for key in variables["env"] if "KEY" in key or "AUTH" in key or "TOKEN" in key]
        assert variables["stop_timeout"] == 120
        weights = {p["capacityProvider"]: p["weight"] for p in variables["capacity_provider_strategy"]}
        assert weights["FARGATE_SPOT"] > weights["FARGATE"] > 0


def test_deliver_has_a_deployment_in_each_pool(created_project: CreatedProject) -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    assert created_project.state["deployments"]
    with get_client(sync_client=True) as prefect:
        for place, pool in (("ecs", "claude-code-ecs"), ("local", "claude-code-local")):
            deployment = prefect.read_deployment_by_name(f"deliver/{place}")
            assert deployment.entrypoint == "flows.deliver.deliver"
            assert deployment.pull_steps == steps_of(deployment)
            assert deployment.work_pool_name == pool
            assert "@sha256:" in deployment.job_variables.get("image", "@sha256:")
            schema = deployment.parameter_openapi_schema
            assert schema is not None
            assert schema["required"] == ["flow_run_id"]
            assert "branch_name" in schema["properties"]


def test_another_image_or_another_form_changes_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect = SyncPrefectClient("http://127.0.0.1:1/api")
    version = Deployments(prefect, "image:a").version
    assert Deployments(prefect, "image:a").version == version
    assert Deployments(prefect, "image:b").version != version
    properties = {**deliver.parameters.properties, "new": {"type": "string"}}
    monkeypatch.setattr(deliver, "parameters", deliver.parameters.model_copy(update={"properties": properties}))
    assert Deployments(prefect, "image:a").version != version


def test_runs_over_the_concurrency_limit_wait(deployed: "dict[str, DeploymentResponse]") -> None:
    for deployment in deployed.values():
        assert deployment.global_concurrency_limit
        assert deployment.concurrency_options
        assert deployment.concurrency_options.collision_strategy == "ENQUEUE"
    limits = {name: d.global_concurrency_limit.limit for name, d in deployed.items() if d.global_concurrency_limit}
    assert limits == {"ecs": 5, "nightly": 1, "local": 2}


def test_the_nightly_schedule_is_inactive(deployed: "dict[str, DeploymentResponse]") -> None:
    [schedule] = deployed["nightly"].schedules
    assert schedule.active is False
    assert not deployed["ecs"].schedules


def test_the_pool_defines_where_runs_execute(created_project: CreatedProject) -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    with get_client(sync_client=True) as prefect:
        template = prefect.read_work_pool("claude-code-ecs").base_job_template
    default = {name: p.get("default") for name, p in template["variables"]["properties"].items()}
    assert default["network_configuration"] == {
        "subnets": [created_project.cloud.subnet],
        "securityGroups": [created_project.cloud.security_group],
        "assignPublicIp": "DISABLED",
    }
    assert default["cluster"] == created_project.cloud.project
    assert default["prefect_api_key_secret_arn"] is None
    [container] = template["job_configuration"]["task_definition"]["containerDefinitions"]
    assert container["stopTimeout"] == "{{ stop_timeout }}"


def test_an_api_key_is_stored_in_a_secret_and_never_shown(created_project: CreatedProject) -> None:
    from prefect.settings import PREFECT_API_KEY, temporary_settings  # noqa: PLC0415

    with temporary_settings({PREFECT_API_KEY: "pnu_must_not_be_shown"}):
        output = created_project.cloud.run("pool", *created_project.cloud.network, "--tag", "v1", "--dry-run")
    assert "would create secret claude-headless/prefect-api" in output
    assert "~ prefect_api_key_secret_arn: None → <its ARN, once created>" in output
    assert f"would update stack {created_project.cloud.project}-worker" in output
    assert "pnu_must_not_be_shown" not in output

"""The commands `up`, `status` and `down`, on an account and a Prefect server that have no resources yet."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cloud import TOKEN, Cloud, CreatedProject
from tests.support.forges.github_app import APP_FIELDS

pytestmark = pytest.mark.xdist_group("aws")

KINDS = ("roles", "registry", "data", "cluster", "worker")


def test_a_dry_run_names_everything_and_changes_nothing(created_project: CreatedProject) -> None:
    assert created_project.after_dry_run == created_project.before
    for kind in KINDS:
        assert f"would create stack {created_project.cloud.project}-{kind}" in created_project.dry_run
    assert f"would create secret {created_project.cloud.project}/git" in created_project.dry_run
    assert (
        f"would build and push image 123456789012.dkr.ecr.us-east-1.amazonaws.com/{created_project.cloud.project}:v1"
        in created_project.dry_run
    )
    for name in ("work pool claude-code-ecs (ecs)", "work pool claude-code-local (process)"):
        assert f"would create {name}" in created_project.dry_run
    assert f"would create block s3-bucket/{created_project.cloud.project}" in created_project.dry_run
    for name in (
        "implement/ecs",
        "implement/nightly",
        "implement/local",
        "deliver/ecs",
        "deliver/local",
        "follow_up/ecs",
        "follow_up/local",
    ):
        assert f"would create deployment {name}" in created_project.dry_run
    assert created_project.dry_run.replace("would ", "").count("create ") == created_project.up.count("create ")


def test_up_creates_everything_and_a_second_up_changes_nothing(created_project: CreatedProject) -> None:
    project = created_project.cloud.project
    assert {name for name, _, _ in created_project.state["stacks"]} >= {f"{project}-{kind}" for kind in KINDS}
    assert {name for name, _, status in created_project.state["stacks"] if status == "CREATE_COMPLETE"}
    assert {f"{project}-{kind}" for kind in ("execution", "task", "worker")} <= set(created_project.state["roles"])
    assert created_project.again.splitlines()[-1] == "nothing to change"
    assert "create" not in created_project.again


def test_a_changed_option_changes_only_the_resources_that_depend_on_it(created_project: CreatedProject) -> None:
    output = created_project.cloud.run(
        "up", "--tag", "v1", "--model-id", "eu.anthropic.other", "--secret-name", created_project.git, "--dry-run"
    )
    assert f"would update stack {created_project.cloud.project}-roles" in output
    assert (
        "foundation-model/anthropic.claude-sonnet-5-5 → arn:aws:bedrock:eu-*::foundation-model/anthropic.other"
        in output
    )
    assert output.count("would ") == 1


def test_a_github_app_can_take_the_place_of_the_token(created_project: CreatedProject, tmp_path: Path) -> None:
    key = tmp_path / "app.pem"
    key.write_text(str(APP_FIELDS["private_key"]))
    app = ("--app-id", "123456", "--private-key", str(key))
    output = created_project.cloud.run("up", "--tag", "v1", "--secret-name", created_project.git, *app, "--dry-run")
    assert f"would update secret {created_project.git}" in output
    assert output.count("would ") == 1


def test_the_option_sets_the_retention_of_results(created_project: CreatedProject) -> None:
    arguments = ("pool", "--tag", "v1", *created_project.cloud.network, "--dry-run")
    assert "~ ResultsDays: 90 → 30" in created_project.cloud.run(*arguments, "--results-days", "30")
    assert created_project.cloud.run(*arguments).endswith("\nnothing to change\n")


def test_status_shows_each_resource(created_project: CreatedProject) -> None:
    output = created_project.cloud.run("status", "--secret-name", created_project.git)
    assert output.count("CREATE_COMPLETE") == len(KINDS)
    assert "1, the newest is v1" in output
    assert "0 of 1 running" in output
    assert "missing" not in output


def test_status_reports_missing_resources(cloud: Cloud) -> None:
    assert cloud.run("status", "--secret-name", "no/such").count("missing") >= len(KINDS) + 3


def test_down_removes_what_up_created_and_asks_first(
    make_cloud: Callable[[], Cloud], created_project: CreatedProject
) -> None:
    cloud = make_cloud()
    before = cloud.state()
    cloud.run(*cloud.up, "--no-worker", stdin=f"{TOKEN}\n")
    own_secret = ("--secret-name", cloud.git)
    bucket = f"{cloud.project}-results-123456789012-us-east-1"
    cloud.client("s3").put_object(Bucket=bucket, Key="claude-code-headless/run/report.md", Body=b"report")
    state = cloud.state()
    assert cloud("down", *own_secret, stdin="n\n").exit_code == 1
    assert f"would delete stack {cloud.project}-cluster" in cloud.run("down", *own_secret, "--dry-run")
    assert cloud.state() == state
    output = cloud.run("down", "--yes", *own_secret)
    assert "delete deployment implement/nightly" in output
    assert f"delete block s3-bucket/{cloud.project}" in output
    assert "the buckets are not empty and stay" in output
    assert cloud.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert "delete for good" in cloud.run("down", "--yes", *own_secret, "--aws-only", "--delete-data")
    assert cloud.state() == {**before, "deployments": {}, "pools": {}}
    assert cloud.run("down", "--yes", *own_secret) == "nothing to change\n"
    # All projects share the pools and deployments of one Prefect server, so they are created again.
    created_project.cloud.run("up", "--tag", "v1", "--secret-name", created_project.git, *created_project.cloud.network)
    assert cloud.state()["deployments"].keys() == before["deployments"].keys()

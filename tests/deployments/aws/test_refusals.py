"""The message of each command, in one sentence, if something that it needs is missing."""

import subprocess
from pathlib import Path

import pytest

from tests.support.cloud import Cloud, CreatedProject

pytestmark = pytest.mark.xdist_group("aws")

RUN = ("run", "--repo-url", "https://github.com/your-org/your-repo.git", "--instructions", "s3://bucket/main.md")


@pytest.mark.parametrize("command", [("roles",), ("image", "--tag", "v1"), ("status",), ("down", "--yes"), RUN])
def test_without_aws_credentials(
    created_project: CreatedProject, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert created_project.cloud.refused(*command).startswith(
        "NoAwsCredentials: there are no AWS credentials: set AWS_PROFILE"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--app-id", "1", "--private-key", "missing.pem"), "--private-key: the file cannot be read"),
        (("--app-id", "1", "--token", "x"), "choose one of them"),
    ],
    ids=["no file", "two logins"],
)
def test_wrong_options_of_a_github_app_are_refused_before_aws_is_asked(
    cloud: Cloud, options: tuple[str, ...], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert reason in cloud.refused("secret", *options)


@pytest.mark.parametrize("command", [("pool",), ("up",), ("down", "--yes"), RUN])
def test_without_a_prefect_api(cloud: Cloud, command: tuple[str, ...]) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert cloud.refused(*command).startswith("NoPrefectApi: no Prefect API is configured: set PREFECT_API_URL")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert "does not answer" in cloud.refused(*command)


def test_pool_without_the_roles_or_the_image(cloud: Cloud) -> None:
    pool = ("pool", *cloud.network, "--tag", "v1")
    assert cloud.refused(*pool).startswith(f"StackMissing: stack {cloud.project}-roles is missing in us-east-1")
    cloud.run("roles")
    assert cloud.refused(*pool).startswith("ImageMissing: ")
    cloud.run("down", "--yes", "--aws-only")


def test_a_network_that_does_not_exist(cloud: Cloud) -> None:
    message = cloud.refused("pool", "--subnet", "subnet-0000000000000000f", "--security-group", cloud.security_group)
    assert message.startswith("UnknownNetwork: The subnet ID 'subnet-0000000000000000f' does not exist in us-east-1")
    assert "--security-group" in cloud.refused("pool", "--subnet", cloud.subnet)
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    other = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    message = cloud.refused("pool", "--subnet", other, "--security-group", cloud.security_group)
    assert message.startswith("UnknownNetwork: the subnets and security groups are in 2 VPCs")


def test_texts_that_are_not_model_ids(cloud: Cloud) -> None:
    for model in ("sonnet", "us.sonnet", "arn:aws:s3:::bucket", "us.anthropic.claude,*"):
        assert cloud.refused("roles", "--model-id", model).startswith("UnknownModel: ")


def test_runs_that_cannot_start(created_project: CreatedProject, cloud: Cloud) -> None:
    assert cloud.refused(*RUN).startswith(f"UnknownCluster: there is no active cluster {cloud.project} in us-east-1")
    run = created_project.cloud.refused
    assert run(*RUN, "--deployment", "implement/none").startswith(
        "DeploymentMissing: there is no deployment implement/none"
    )
    assert "InvalidRepoUrl" in run("run", "--repo-url", "file:///etc", "--instructions", "s3://bucket/main.md")
    assert "there are no instructions" in run(*RUN[:3])
    assert "limits: it is a group: set one of limits.max_turns" in run(*RUN, "--param", "limits=7")
    assert "'clone_depth' is not NAME=VALUE" in run(*RUN, "--param", "clone_depth")
    assert run(*RUN, "--env", "=x").startswith("InvalidParameter: --env")


def test_a_run_outside_ecs_needs_no_cluster(created_project: CreatedProject, cloud: Cloud) -> None:
    assert created_project.state["deployments"]
    assert "would start a run of implement/local" in cloud.run(*RUN, "--deployment", "implement/local", "--dry-run")


def test_a_follow_up_is_checked_and_started_by_the_address_of_its_pull_request(
    created_project: CreatedProject, cloud: Cloud
) -> None:
    run = ("run", "--pull-request-url", "https://github.com/your-org/your-repo/pull/12")
    assert created_project.state["deployments"]
    assert "would start a run of follow_up/local" in cloud.run(*run, "--deployment", "follow_up/local", "--dry-run")
    refused = created_project.cloud.refused
    assert "DeploymentMissing: there is no deployment follow_up/none" in refused(*run, "--deployment", "follow_up/none")
    assert "InvalidForgePage" in refused(*run[:2], "https://github.com/your-org/your-repo")
    assert "the flow has no parameter 'branch_name'" in refused(*run, "--branch-name", "work")
    assert "InvalidFollowUp: pull_request_url and flow_run_id" in refused("run", "--deployment", "follow_up/local")
    assert "the flow 'deliver' is not one of implement, follow_up" in refused(*run, "--deployment", "deliver/local")
    assert "repo_url: Field required" in refused("run", "--instructions", "s3://bucket/main.md")
    assert cloud.refused(*run).startswith("UnknownCluster: ")


def test_a_parameter_that_the_flow_does_not_have(created_project: CreatedProject) -> None:
    assert "no_such" in created_project.cloud.refused(*RUN, "--param", "no_such=1")


def test_an_image_without_a_builder(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = cloud("image", "--tag", "v1")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("BuilderMissing: neither docker, podman nor buildah works here")
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("commit", "message"), [(False, "this directory has no git commit"), (True, "there are uncommitted changes")]
)
def test_an_image_without_a_commit_for_its_tag(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commit: bool, message: str
) -> None:
    monkeypatch.setattr("deployments.aws.image.PROJECT_DIRECTORY", tmp_path)
    if commit:
        git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
        for arguments in (["init", "-q"], ["commit", "-qm", "first", "--allow-empty"]):
            subprocess.run([*git, *arguments], check=True)
        (tmp_path / "new").touch()
    assert message in cloud.refused("image")


def test_a_stack_that_another_process_is_creating(cloud: Cloud) -> None:
    name = f"{cloud.project}-registry"
    body = "Resources: {Queue: {Type: AWS::SQS::Queue}}"
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_change_set(StackName=name, ChangeSetName="another", ChangeSetType="CREATE", TemplateBody=body)
    message = cloud.refused("image", "--tag", "v1")
    assert message.startswith(f"StackBusy: stack {name} is REVIEW_IN_PROGRESS")
    cloudformation.delete_stack(StackName=name)


def test_help_explains_each_command() -> None:
    from typer.testing import CliRunner  # noqa: PLC0415

    from deployments.__main__ import app  # noqa: PLC0415

    message = CliRunner().invoke(app, ["--help"]).output
    for command in ("secret", "roles", "image", "pool", "run", "up", "down", "status"):
        assert command in message
        one = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        assert "--region" in one
        assert ("--dry-run" in one) == (command != "status")

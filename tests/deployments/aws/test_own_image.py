"""`image --from`: an image of the user's own, with a deployment that runs in it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.aws.image import check_configuration
from deployments.cli.errors import InvalidImage
from tests.support.cloud import Cloud, CreatedProject, docker_calls

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

pytestmark = pytest.mark.xdist_group("aws")

OWN = "implement/ecs-node22"


def commit(folder: Path, text: str) -> Path:
    """Commit a Dockerfile to a repository of its own; return its path."""
    dockerfile = folder / "node22.Dockerfile"
    dockerfile.write_text(text)
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    return dockerfile


def deployed(name: str) -> "DeploymentResponse":
    from prefect.client.orchestration import get_client  # noqa: PLC0415 (Prefect reads its environment at import)

    with get_client(sync_client=True) as prefect:
        return prefect.read_deployment_by_name(name)


@pytest.fixture
def dockerfile(tmp_path: Path) -> Path:
    return commit(tmp_path, "FROM claude-code-headless\nRUN true\n")


@pytest.fixture
def project(created_project: CreatedProject) -> Iterator[Cloud]:
    """A project that `up` created. Own images and their deployment are deleted at the end."""
    cloud = created_project.cloud
    yield cloud
    ecr = cloud.client("ecr")
    images = ecr.describe_images(repositoryName=cloud.project)["imageDetails"]
    if own := [{"imageTag": tag} for image in images for tag in image["imageTags"] if tag != "v1"]:
        ecr.batch_delete_image(repositoryName=cloud.project, imageIds=own)
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    with get_client(sync_client=True) as prefect:
        try:
            prefect.delete_deployment(prefect.read_deployment_by_name(OWN).id)
        except ObjectNotFound:
            return


def test_it_is_built_from_the_projects_image_pushed_once_and_deployed(project: Cloud, dockerfile: Path) -> None:
    own = ("image", "--from", str(dockerfile), "--name", "node22", "--tag", "node22-1")
    uri = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{project.project}:node22-1"
    calls_before = len(docker_calls(project))
    planned = project.run(*own, "--dry-run")
    assert f"would build and push image {uri}" in planned
    assert f"would create deployment {OWN}" in planned
    assert len(docker_calls(project)) == calls_before
    output = project.run(*own, "--job-variable", "cpu=4096", "--job-variable", "memory=16384")
    assert output.splitlines()[-1].startswith(f"{uri}@sha256:")
    base, build, inspect, push = [call for call in docker_calls(project)[calls_before:] if call[0] != "info"]
    assert base[base.index("--tag") + 1] == "claude-code-headless"
    assert base[base.index("--target") + 1] == "full"
    assert build[build.index("--tag") + 1] == uri
    assert build[build.index("--file") + 1 :] == [str(dockerfile), str(dockerfile.parent)]
    assert (inspect[0], push) == ("image", ["push", uri])
    ecs, deployment = deployed("implement/ecs"), deployed(OWN)
    changed = {"image": output.splitlines()[-1], "cpu": 4096, "memory": 16384}
    assert deployment.job_variables == {**ecs.job_variables, **changed}
    assert deployment.entrypoint == ecs.entrypoint
    assert deployment.work_pool_name == ecs.work_pool_name
    assert deployment.concurrency_options == ecs.concurrency_options
    assert deployment.parameter_openapi_schema == ecs.parameter_openapi_schema
    again = project.run(*own, "--job-variable", "cpu=4096", "--job-variable", "memory=16384")
    assert "nothing to change" in again
    assert f"update deployment {OWN}" in project.run(*own, "--dry-run")
    assert f"deployment {OWN}" in project.run("status")
    assert f"would delete deployment {OWN}" in project.run("down", "--dry-run")


def test_its_default_tag_has_the_name_and_both_commits(
    project: Cloud, dockerfile: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path_factory.mktemp("checkout")
    commit(checkout, "another file")
    monkeypatch.setattr("deployments.aws.image.PROJECT_DIRECTORY", checkout)
    head = ["git", "rev-parse", "--short=12", "HEAD"]
    commits = [
        subprocess.run(head, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
        for folder in (checkout, dockerfile.parent)
    ]
    own = ("image", "--from", str(dockerfile), "--name", "node22", "--dry-run")
    assert f":node22-{commits[0]}-{commits[1]}\n" in project.run(*own)
    assert f":node22-{commits[0]}-{commits[1]}-slim\n" in project.run(*own, "--slim")
    assert f":{commits[0]}-slim\n" in project.run("image", "--slim", "--dry-run")
    (dockerfile.parent / "new").touch()
    assert f"uncommitted changes in {dockerfile.parent}" in project.refused(*own)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "{file}"), "InvalidParameter: an image of your own needs both"),
        (("--name", "node22"), "InvalidParameter: an image of your own needs both"),
        (("--job-variable", "cpu=4096"), "InvalidParameter: --job-variable needs --from and --name"),
        (("--from", "{file}", "--name", "Node 22"), "InvalidParameter: --name 'Node 22' cannot name an image"),
        (("--from", "{file}.not", "--name", "node22"), "InvalidParameter: --from "),
        (("--from", "{file}", "--name", "x", "--job-variable", "cpu=3"), "InvalidParameter: cpu=3 is not a size"),
        (("--from", "{file}", "--name", "x", "--job-variable", "cpu"), "InvalidParameter: --job-variable 'cpu'"),
    ],
)
def test_wrong_options_are_refused(project: Cloud, dockerfile: Path, arguments: tuple[str, ...], message: str) -> None:
    options = [argument.format(file=dockerfile) for argument in arguments]
    assert project.refused("image", "--tag", "t", *options).startswith(message)


@pytest.mark.parametrize("line", ["FROM debian:trixie-slim", "FROM other/claude-code-headless-2", "# FROM x", ""])
def test_a_dockerfile_that_starts_from_another_image_is_refused(project: Cloud, tmp_path: Path, line: str) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"{line}\nRUN true\n")
    message = project.refused("image", "--from", str(dockerfile), "--name", "node22", "--tag", "t")
    assert message.startswith(f"InvalidImage: {dockerfile} does not start from this project's image")


def test_an_image_that_does_not_start_as_root_is_built_but_not_pushed(project: Cloud, tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM node:22-trixie-slim AS node\nFROM claude-code-headless AS own\nUSER node\n")
    result = project("image", "--from", str(dockerfile), "--name", "node22", "--tag", "as-node")
    assert result.exit_code == 1
    assert f"InvalidImage: {dockerfile} sets USER node: end it with USER root" in result.output
    assert "push" not in [call[0] for call in docker_calls(project) if any("as-node" in part for part in call)]


@pytest.mark.parametrize("user", ["", "root", "0", "0:0"])
def test_roots_names_are_accepted(user: str) -> None:
    labels = {"org.opencontainers.image.title": "claude-code-headless"}
    check_configuration(Path("Dockerfile"), {"User": user, "Labels": labels})
    with pytest.raises(InvalidImage, match="the last stage of Dockerfile is not based on this project's image"):
        check_configuration(Path("Dockerfile"), {"User": user, "Labels": None})


def test_without_the_set_up_it_is_refused(cloud: Cloud, dockerfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.aws.own_image._BASE", "implement/none")
    message = cloud.refused("image", "--from", str(dockerfile), "--name", "node22", "--tag", "t")
    assert message.startswith(
        "DeploymentMissing: there is no deployment implement/none: run python -m deployments pool"
    )

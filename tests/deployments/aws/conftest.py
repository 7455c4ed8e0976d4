"""An AWS account (moto) and the suite's Prefect server, for the set-up commands."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from deployments.local.stack import LocalStack
from tests.deployments.aws.cloud import REGION, TOKEN, Cloud, Made
from tests.deployments.aws.moto_repairs import repair

# Plays docker: "pushes" by telling the registry of an image, and notes what it was called with.
_DOCKER = """#!{python}
import json, os, sys, pathlib
noted = pathlib.Path(os.environ["NOTED"])
with noted.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "push":
    import boto3
    host, _, rest = sys.argv[2].partition("/")
    login = json.loads((pathlib.Path(os.environ["DOCKER_CONFIG"]) / "config.json").read_text())["auths"][host]["auth"]
    name, _, tag = rest.rpartition(":")
    ecr = boto3.client("ecr")
    assert login == ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    kind = "application/vnd.oci.image.manifest.v1+json"
    config = {{"digest": "sha256:" + "0" * 64, "size": 1, "mediaType": "application/vnd.oci.image.config.v1+json"}}
    manifest = {{"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [], "annotations": {{"tag": tag}}}}
    ecr.put_image(repositoryName=name, imageTag=tag, imageManifest=json.dumps(manifest), imageManifestMediaType=kind)
"""


@pytest.fixture(scope="package")
def aws(stack: LocalStack) -> Iterator[LocalStack]:
    """The stack, with all of AWS at its address."""
    with pytest.MonkeyPatch.context() as patch:
        repair(patch)
        patch.setenv("AWS_ENDPOINT_URL", stack.aws_url)
        yield stack


@pytest.fixture(scope="package")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A docker that pushes to moto; return the file with what it was called with."""
    folder = tmp_path_factory.mktemp("docker")
    program, noted_in = folder / "docker", folder / "noted"
    program.write_text(_DOCKER.format(python=sys.executable))
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("NOTED", str(noted_in))
        yield noted_in


@pytest.fixture(scope="package")
def make_cloud(aws: LocalStack, docker: Path) -> Callable[[], Cloud]:
    """Projects, side by side in one account."""
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=aws.aws_url)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    subnet = ec2.describe_subnets(Filters=mine)["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups(Filters=mine)["SecurityGroups"][0]["GroupId"]
    return lambda: Cloud(f"p-{uuid.uuid4().hex[:8]}", subnet, group, docker)


@pytest.fixture
def cloud(make_cloud: Callable[[], Cloud]) -> Cloud:
    """A project with nothing of it there yet."""
    return make_cloud()


@pytest.fixture(scope="package")
def made(make_cloud: Callable[[], Cloud]) -> Made:
    """A project that `up` made once; the tests that take it leave it as it is."""
    cloud = make_cloud()
    before = cloud.state()
    dry_run = cloud.done(*cloud.up, "--dry-run", stdin=f"{TOKEN}\n")
    after_dry_run = cloud.state()
    up = cloud.done(*cloud.up, stdin=f"{TOKEN}\n")
    state = cloud.state()
    again = cloud.done(*cloud.up, stdin=f"{TOKEN}\n")
    assert cloud.state() == state
    return Made(cloud, before, dry_run, after_dry_run, up, again, state)

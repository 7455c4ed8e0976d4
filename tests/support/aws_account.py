"""An AWS account (moto) and projects in it, for the tests of the set-up commands."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from deployments.local.stack import LocalStack
from tests.support.cloud import REGION, Cloud
from tests.support.moto_repairs import repair

# A stand-in for docker. It records its arguments; `push` registers an image in moto's ECR, and `image` shows the user
# that the last Dockerfile set.
_DOCKER = """#!{python}
import json, os, sys, pathlib
log = pathlib.Path(os.environ["DOCKER_LOG"])
with log.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "build" and "--file" in sys.argv:
    lines = pathlib.Path(sys.argv[sys.argv.index("--file") + 1]).read_text().splitlines()
    user = ["", *(line.split()[1] for line in lines if line.startswith("USER "))][-1]
    labels = {{"org.opencontainers.image.title": "claude-code-headless"}}
    log.with_name("built").write_text(json.dumps({{"User": user, "Labels": labels}}))
if sys.argv[1] == "image":
    print(log.with_name("built").read_text())
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


@contextmanager
def moto_account(stack: LocalStack) -> Iterator[LocalStack]:
    """Send the calls to all AWS services to the stack's moto."""
    with pytest.MonkeyPatch.context() as patch:
        repair(patch)
        patch.setenv("AWS_ENDPOINT_URL", stack.aws_url)
        yield stack


@contextmanager
def aws_in_this_process() -> Iterator[None]:
    """Send this process's AWS calls to moto without a server.

    The local stack's moto server runs in this process too and shares the same data, so leaving the context does not
    reset that data.
    """
    aws = mock_aws()
    aws.start(reset=False)
    try:
        yield
    finally:
        aws.stop(remove_data=False)


@contextmanager
def docker_stand_in(folder: Path) -> Iterator[Path]:
    """Put a docker that pushes to moto first on PATH; yield the file in which it records its arguments."""
    program, recorded_in = folder / "docker", folder / "docker-calls"
    program.write_text(_DOCKER.format(python=sys.executable))
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("DOCKER_LOG", str(recorded_in))
        yield recorded_in


def new_cloud(aws: LocalStack, docker: Path) -> Cloud:
    """Return a project that has no resources in the account yet."""
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=aws.aws_url)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    in_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    subnet = ec2.describe_subnets(Filters=in_vpc)["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups(Filters=in_vpc)["SecurityGroups"][0]["GroupId"]
    return Cloud(f"p-{uuid.uuid4().hex[:8]}", subnet, group, docker)

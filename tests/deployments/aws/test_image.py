"""The image: it is built and pushed once for each tag, and the registry's login is never shown."""

import pytest

from tests.support.cloud import Cloud, docker_calls

pytestmark = pytest.mark.xdist_group("aws")


def test_a_tag_is_built_and_pushed_once(cloud: Cloud) -> None:
    uri = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{cloud.project}:v1"
    assert f"would build and push image {uri}" in cloud.run("image", "--tag", "v1", "--dry-run")
    assert not [call for call in docker_calls(cloud) if uri in call]
    output = cloud.run("image", "--tag", "v1")
    assert output.splitlines()[-1].startswith(f"{uri}@sha256:")
    assert "nothing to change" in cloud.run("image", "--tag", "v1")
    calls = [call for call in docker_calls(cloud) if uri in call]
    assert [call[0] for call in calls] == ["build", "push"]
    assert calls[0][1:3] == ["--platform", "linux/amd64"]


def test_no_command_line_contains_the_login(cloud: Cloud) -> None:
    cloud.run("image", "--tag", "v2")
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    assert len(token) > 10
    assert not [call for call in docker_calls(cloud) if any(token in argument for argument in call)]

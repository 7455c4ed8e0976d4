"""The set-up commands, as one gives them, on an account and a Prefect server that have nothing yet."""

from tests.deployments.aws.conftest import Cloud

TOKEN = "a-token-of-this-test"


def test_up_then_down(cloud: Cloud) -> None:
    said = cloud.done(*cloud.up, stdin=TOKEN + "\n")
    print(said)
    again = cloud.done(*cloud.up, stdin=TOKEN + "\n")
    print(again)
    print(cloud.done("status", "--secret-name", f"{cloud.project}/git"))
    print(cloud.done("down", "--yes", "--secret-name", f"{cloud.project}/git"))
    print(cloud.done("status", "--secret-name", f"{cloud.project}/git"))
    assert 0

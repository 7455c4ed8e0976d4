"""The git secret: stored once, changed when it changes, and seen nowhere but in Secrets Manager."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cloud import EMAIL, Cloud

pytestmark = pytest.mark.xdist_group("aws")

TOKEN = "ghp-a-token-nobody-may-see"
PROJECT = Path(__file__).parents[3]


def stored(cloud: Cloud) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        cloud.client("secretsmanager").get_secret_value(SecretId=cloud.git)["SecretString"]
    )
    return found


def test_it_is_created_updated_and_given_back_and_never_shown(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    given = ("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL)
    said = [cloud.done(*given, "--dry-run", stdin=TOKEN), cloud.done(*given, stdin=TOKEN)]
    assert said == [f"would create secret {cloud.git}\n", f"create secret {cloud.git}\n"]
    assert stored(cloud) == {"token": TOKEN, "email": EMAIL}
    said += [cloud.done(*given, stdin=TOKEN), cloud.done(*given, stdin=f"{TOKEN}-2")]
    assert said[2:] == ["nothing to change\n", f"update secret {cloud.git}\n"]
    assert stored(cloud)["token"] == f"{TOKEN}-2"
    cloud.client("secretsmanager").delete_secret(SecretId=cloud.git, RecoveryWindowInDays=7)
    said.append(cloud.done(*given, stdin=TOKEN))
    assert said[-1] == f"restore and update secret {cloud.git}\n"
    assert stored(cloud)["token"] == TOKEN
    assert TOKEN not in "".join(said)
    assert "secretsmanager" in caplog.text
    assert TOKEN not in caplog.text


def test_a_token_from_standard_input_is_on_no_command_line(cloud: Cloud) -> None:
    command = [sys.executable, "-m", "deployments", "secret", "--token", "-", "--email", EMAIL]
    with subprocess.Popen(
        [*command, "--secret-name", cloud.git, "--project", cloud.project],
        cwd=PROJECT,
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said, _ = process.communicate(TOKEN + "\n", timeout=60)
    assert process.returncode == 0, said
    assert stored(cloud)["token"] == TOKEN
    assert TOKEN not in said
    assert TOKEN not in command


@pytest.mark.parametrize(
    ("arguments", "stdin", "reason"),
    [
        (("--email", EMAIL), "", "there is no git token: pipe it in with --token -"),
        (("--token", "-", "--email", EMAIL), "", "no usable token"),
        (("--token", "-", "--email", EMAIL), "two words", "no usable token"),
        (("--token", "-", "--email", "nobody"), TOKEN, "no usable e-mail address"),
    ],
)
def test_what_no_run_could_use_is_refused(cloud: Cloud, arguments: tuple[str, ...], stdin: str, reason: str) -> None:
    said = cloud.refused("secret", "--secret-name", cloud.git, *arguments, stdin=stdin)
    assert reason in said
    assert "two words" not in said
    assert TOKEN not in said


def test_up_does_with_a_secret_that_is_there_and_not_without_one(cloud: Cloud) -> None:
    given = ("up", *cloud.network, "--tag", "v1", "--secret-name", cloud.git, "--dry-run")
    assert f"TokenMissing: there is no secret {cloud.git}" in cloud.refused(*given).replace("\n", "")
    cloud.done("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL, stdin=TOKEN)
    assert "secret" not in cloud.done(*given).replace("the secret's ARN", "")


def test_down_leaves_a_secret_that_somebody_made_by_hand(cloud: Cloud) -> None:
    cloud.client("secretsmanager").create_secret(Name=cloud.git, SecretString="theirs")
    assert "secret" not in cloud.done("down", "--yes", "--aws-only", "--secret-name", cloud.git)
    ours = f"{cloud.project}/ours"
    cloud.done("secret", "--secret-name", ours, "--token", "-", "--email", EMAIL, stdin=TOKEN)
    assert f"delete secret {ours}" in cloud.done("down", "--yes", "--aws-only", "--secret-name", ours)

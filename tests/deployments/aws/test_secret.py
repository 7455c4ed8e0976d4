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
ORG = "https://github.com/your-org/*"


def stored(cloud: Cloud) -> dict[str, object]:
    found: dict[str, object] = json.loads(
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
        (("--token", "-", "--email", EMAIL), "half\nof it\n", "no usable token (one line, no spaces)"),
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


def test_what_the_token_is_for_is_set_and_stays_when_the_token_is_renewed(cloud: Cloud) -> None:
    secret = ("secret", "--secret-name", cloud.git)
    token = (*secret, "--token", "-", "--email", EMAIL)
    bound = ("--repository", ORG, "--repository", "https://git.example.com/team/app", "--host", "github.com")
    cloud.done(*token, *bound, stdin=TOKEN)
    fields = {
        "token": TOKEN, "email": EMAIL, "hosts": ["github.com"],
        "repositories": [ORG, "https://git.example.com/team/app"],
    }  # fmt: skip
    assert stored(cloud) == fields
    assert cloud.done(*token, *bound, stdin=TOKEN) == "nothing to change\n"
    assert cloud.done(*token, stdin=TOKEN) == "nothing to change\n"
    cloud.done(*token, stdin=f"{TOKEN}-2")
    assert stored(cloud) == {**fields, "token": f"{TOKEN}-2"}
    cloud.done(*secret, "--token", "-", stdin=TOKEN)
    assert stored(cloud) == fields
    cloud.done(*secret, "--repository", ORG)
    assert stored(cloud) == {**fields, "repositories": [ORG]}
    up = ("up", *cloud.network, "--tag", "v1", "--secret-name", cloud.git, "--dry-run")
    assert f"secret {cloud.git}" not in cloud.done(*up, "--host", "github.com")
    assert f"would update secret {cloud.git}" in cloud.done(*up, "--host", "example.com")
    assert stored(cloud) == {**fields, "repositories": [ORG]}


def test_what_somebody_stored_by_hand_stays_when_the_token_is_renewed(cloud: Cloud) -> None:
    by_hand = {"token": "old", "email": EMAIL, "username": "x-token-auth", "repositories": [ORG]}
    cloud.client("secretsmanager").create_secret(Name=cloud.git, SecretBinary=json.dumps(by_hand).encode())
    cloud.done("secret", "--secret-name", cloud.git, "--token", "-", stdin=TOKEN)
    assert stored(cloud) == {**by_hand, "token": TOKEN}


def test_what_the_token_is_for_survives_a_deletion_that_is_taken_back(cloud: Cloud) -> None:
    given = ("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL)
    cloud.done(*given, "--host", "github.com", stdin=TOKEN)
    cloud.client("secretsmanager").delete_secret(SecretId=cloud.git, RecoveryWindowInDays=7)
    assert cloud.done(*given, stdin=f"{TOKEN}-2") == f"restore and update secret {cloud.git}\n"
    assert stored(cloud) == {"token": f"{TOKEN}-2", "email": EMAIL, "hosts": ["github.com"]}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--host", ""), "entry 1 of hosts is not a host"),
        (("--host", "github.com", "--host", "https://github.com"), "entry 2 of hosts is not a host"),
        (("--host", "*.example.com"), "entry 1 of hosts is not a host"),
        (("--repository", "your-org/*"), "entry 1 of repositories is not like https://github.com/your-org/*"),
        (("--repository", "https://github.com/your-org/"), "end it with /* or /**"),
    ],
)
def test_a_binding_that_means_nothing_is_refused_and_the_stored_one_stays(
    cloud: Cloud, arguments: tuple[str, ...], reason: str
) -> None:
    given = ("secret", "--secret-name", cloud.git)
    cloud.done(*given, "--token", "-", "--email", EMAIL, "--host", "git.example.com", stdin=TOKEN)
    said = cloud.refused(*given, *arguments)
    assert "InvalidParameter" in said
    assert reason in said
    assert TOKEN not in said
    assert stored(cloud)["hosts"] == ["git.example.com"]


def test_an_empty_token_does_not_pass_for_the_stored_one(cloud: Cloud) -> None:
    given = ("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL)
    cloud.done(*given, stdin=TOKEN)
    assert "no usable token" in cloud.refused(*given, "--host", "github.com", stdin="")
    assert stored(cloud) == {"token": TOKEN, "email": EMAIL}


def test_a_stored_binding_that_is_malformed_is_not_taken_for_none(cloud: Cloud) -> None:
    broken = json.dumps({"token": "old", "email": EMAIL, "hosts": []})
    cloud.client("secretsmanager").create_secret(Name=cloud.git, SecretString=broken)
    given = ("secret", "--secret-name", cloud.git, "--token", "-")
    assert "hosts is not a list with entries" in cloud.refused(*given, stdin=TOKEN)
    cloud.done(*given, "--host", "github.com", stdin=TOKEN)
    assert stored(cloud) == {"token": TOKEN, "email": EMAIL, "hosts": ["github.com"]}

"""The git secret: it is stored once, updated only if it changes, and shown nowhere outside Secrets Manager."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cloud import EMAIL, Cloud
from tests.support.forges.github_app import APP_FIELDS

pytestmark = pytest.mark.xdist_group("aws")

TOKEN = "ghp-a-token-that-must-not-be-shown"
PROJECT = Path(__file__).parents[3]
ORG = "https://github.com/your-org/*"


def stored(cloud: Cloud) -> dict[str, object]:
    fields: dict[str, object] = json.loads(
        cloud.client("secretsmanager").get_secret_value(SecretId=cloud.git)["SecretString"]
    )
    return fields


def test_the_secret_is_created_updated_and_restored_and_never_shown(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    arguments = ("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL)
    output = [cloud.run(*arguments, "--dry-run", stdin=TOKEN), cloud.run(*arguments, stdin=TOKEN)]
    assert output == [f"would create secret {cloud.git}\n", f"create secret {cloud.git}\n"]
    assert stored(cloud) == {"token": TOKEN, "email": EMAIL}
    output += [cloud.run(*arguments, stdin=TOKEN), cloud.run(*arguments, stdin=f"{TOKEN}-2")]
    assert output[2:] == ["nothing to change\n", f"update secret {cloud.git}\n"]
    assert stored(cloud)["token"] == f"{TOKEN}-2"
    cloud.client("secretsmanager").delete_secret(SecretId=cloud.git, RecoveryWindowInDays=7)
    output.append(cloud.run(*arguments, stdin=TOKEN))
    assert output[-1] == f"restore and update secret {cloud.git}\n"
    assert stored(cloud)["token"] == TOKEN
    assert TOKEN not in "".join(output)
    assert "secretsmanager" in caplog.text
    assert TOKEN not in caplog.text


def test_no_command_line_contains_a_token_from_standard_input(cloud: Cloud) -> None:
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
        output, _ = process.communicate(TOKEN + "\n", timeout=60)
    assert process.returncode == 0, output
    assert stored(cloud)["token"] == TOKEN
    assert TOKEN not in output
    assert TOKEN not in command


@pytest.mark.parametrize(
    ("arguments", "stdin", "reason"),
    [
        (("--email", EMAIL), "", "there is no git token: pipe it in with --token -"),
        (("--token", "-", "--email", EMAIL), "", "TokenMissing: the input has no usable token"),
        (("--token", "-", "--email", EMAIL), "half\nof it\n", "InvalidGitSecret: the input has no usable token (one"),
        (("--token", "-", "--email", EMAIL), "two words", "InvalidGitSecret: the input has no usable token"),
        (("--token", "-", "--email", "nobody"), TOKEN, "InvalidGitSecret: the input has no usable e-mail address"),
    ],
)
def test_a_secret_that_no_run_could_use_is_refused(
    cloud: Cloud, arguments: tuple[str, ...], stdin: str, reason: str
) -> None:
    output = cloud.refused("secret", "--secret-name", cloud.git, *arguments, stdin=stdin)
    assert reason in output
    assert "two words" not in output
    assert TOKEN not in output


def test_up_uses_an_existing_secret_and_refuses_to_run_without_one(cloud: Cloud) -> None:
    arguments = ("up", *cloud.network, "--tag", "v1", "--secret-name", cloud.git, "--dry-run")
    assert f"TokenMissing: there is no secret {cloud.git}" in cloud.refused(*arguments).replace("\n", "")
    cloud.run("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL, stdin=TOKEN)
    assert "secret" not in cloud.run(*arguments).replace("the secret's ARN", "")


def test_down_keeps_a_secret_that_was_created_by_hand(cloud: Cloud) -> None:
    cloud.client("secretsmanager").create_secret(Name=cloud.git, SecretString="by hand")
    assert "secret" not in cloud.run("down", "--yes", "--aws-only", "--secret-name", cloud.git)
    own_secret = f"{cloud.project}/git-2"
    cloud.run("secret", "--secret-name", own_secret, "--token", "-", "--email", EMAIL, stdin=TOKEN)
    assert f"delete secret {own_secret}" in cloud.run("down", "--yes", "--aws-only", "--secret-name", own_secret)


def test_the_allowed_hosts_and_repositories_stay_when_the_token_is_renewed(cloud: Cloud) -> None:
    secret = ("secret", "--secret-name", cloud.git)
    token = (*secret, "--token", "-", "--email", EMAIL)
    bound = ("--repository", ORG, "--repository", "https://git.example.com/team/app", "--host", "github.com")
    cloud.run(*token, *bound, stdin=TOKEN)
    fields = {
        "token": TOKEN, "email": EMAIL, "hosts": ["github.com"],
        "repositories": [ORG, "https://git.example.com/team/app"],
    }  # fmt: skip
    assert stored(cloud) == fields
    assert cloud.run(*token, *bound, stdin=TOKEN) == "nothing to change\n"
    assert cloud.run(*token, stdin=TOKEN) == "nothing to change\n"
    cloud.run(*token, stdin=f"{TOKEN}-2")
    assert stored(cloud) == {**fields, "token": f"{TOKEN}-2"}
    cloud.run(*secret, "--token", "-", stdin=TOKEN)
    assert stored(cloud) == fields
    cloud.run(*secret, "--repository", ORG)
    assert stored(cloud) == {**fields, "repositories": [ORG]}
    up = ("up", *cloud.network, "--tag", "v1", "--secret-name", cloud.git, "--dry-run")
    assert f"secret {cloud.git}" not in cloud.run(*up, "--host", "github.com")
    assert f"would update secret {cloud.git}" in cloud.run(*up, "--host", "example.com")
    assert stored(cloud) == {**fields, "repositories": [ORG]}


def test_the_addresses_of_apis_stay_when_the_token_is_renewed(cloud: Cloud) -> None:
    secret = ("secret", "--secret-name", cloud.git)
    address = "https://proxy.example.com/api/v3"
    cloud.run(*secret, "--token", "-", "--email", EMAIL, "--forge-api-url", address, stdin=TOKEN)
    cloud.run(*secret, "--token", "-", stdin=f"{TOKEN}-2")
    assert stored(cloud) == {"token": f"{TOKEN}-2", "email": EMAIL, "forge_api_urls": [address]}
    assert "must be a list of addresses" in cloud.refused(*secret, "--forge-api-url", "proxy.example.com")
    cloud.run(*secret, "--forge-api-url", f"{address}/")
    assert stored(cloud)["forge_api_urls"] == [f"{address}/"]


def test_fields_that_were_stored_by_hand_stay_when_the_token_is_renewed(cloud: Cloud) -> None:
    by_hand = {"token": "old", "email": EMAIL, "username": "x-token-auth", "repositories": [ORG]}
    cloud.client("secretsmanager").create_secret(Name=cloud.git, SecretBinary=json.dumps(by_hand).encode())
    cloud.run("secret", "--secret-name", cloud.git, "--token", "-", stdin=TOKEN)
    assert stored(cloud) == {**by_hand, "token": TOKEN}


def test_the_allowed_hosts_stay_when_a_deleted_secret_is_restored(cloud: Cloud) -> None:
    arguments = ("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL)
    cloud.run(*arguments, "--host", "github.com", stdin=TOKEN)
    cloud.client("secretsmanager").delete_secret(SecretId=cloud.git, RecoveryWindowInDays=7)
    assert cloud.run(*arguments, stdin=f"{TOKEN}-2") == f"restore and update secret {cloud.git}\n"
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
def test_a_malformed_host_or_repository_is_refused_and_the_stored_ones_stay(
    cloud: Cloud, arguments: tuple[str, ...], reason: str
) -> None:
    secret = ("secret", "--secret-name", cloud.git)
    cloud.run(*secret, "--token", "-", "--email", EMAIL, "--host", "git.example.com", stdin=TOKEN)
    output = cloud.refused(*secret, *arguments)
    assert "InvalidParameter" in output
    assert reason in output
    assert TOKEN not in output
    assert stored(cloud)["hosts"] == ["git.example.com"]


def test_an_empty_token_is_refused_even_if_a_token_is_stored(cloud: Cloud) -> None:
    arguments = ("secret", "--secret-name", cloud.git, "--token", "-", "--email", EMAIL)
    cloud.run(*arguments, stdin=TOKEN)
    assert "no usable token" in cloud.refused(*arguments, "--host", "github.com", stdin="")
    assert stored(cloud) == {"token": TOKEN, "email": EMAIL}


def test_a_malformed_stored_list_of_hosts_is_not_treated_as_missing(cloud: Cloud) -> None:
    broken = json.dumps({"token": "old", "email": EMAIL, "hosts": []})
    cloud.client("secretsmanager").create_secret(Name=cloud.git, SecretString=broken)
    arguments = ("secret", "--secret-name", cloud.git, "--token", "-")
    assert "hosts must be a list with at least one entry" in cloud.refused(*arguments, stdin=TOKEN)
    cloud.run(*arguments, "--host", "github.com", stdin=TOKEN)
    assert stored(cloud) == {"token": TOKEN, "email": EMAIL, "hosts": ["github.com"]}


def test_a_github_app_replaces_the_token_and_a_token_replaces_the_app(cloud: Cloud, tmp_path: Path) -> None:
    key = tmp_path / "app.pem"
    key.write_text(str(APP_FIELDS["private_key"]))
    secret = ("secret", "--secret-name", cloud.git)
    app = ("--app-id", "123456", "--private-key", str(key), "--repository", ORG)
    cloud.run(*secret, "--token", "-", "--email", EMAIL, stdin=TOKEN)
    cloud.run(*secret, *app)
    expected = {"email": EMAIL, "repositories": [ORG], "app_id": "123456", "private_key": key.read_text()}
    assert stored(cloud) == expected
    cloud.run(*secret, "--installation-id", "99")
    assert stored(cloud) == {**expected, "installation_id": "99"}
    cloud.run(*secret, "--token", "-", stdin=TOKEN)
    assert stored(cloud) == {"email": EMAIL, "repositories": [ORG], "token": TOKEN}
    for arguments, reason in (
        (("--token", "-", *app), "choose one of them"),
        (("--app-id", "1", "--private-key", str(tmp_path / "missing")), "the file cannot be read"),
        (("--app-id", "1"), "no usable private_key"),
    ):
        assert reason in cloud.refused(*secret, *arguments, stdin=TOKEN)

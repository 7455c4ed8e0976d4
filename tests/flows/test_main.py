"""The container's own way in: `python -m flows` as a process, with the variables of `docker run`."""

import json
import os
import subprocess
from collections.abc import Callable

import boto3
import psutil
import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, GIT_TOKEN
from flows import __main__ as container
from flows import errors
from flows.parameters.fields import leaves_of
from flows.parameters.implement import ImplementParameters
from flows.parameters.misspelling import misspelt_variable
from tests.support.flows_command import last_line, start
from tests.support.world import World

Container = Callable[..., "subprocess.CompletedProcess[str]"]


def test_help_names_every_variable_and_is_no_failure() -> None:
    done = start({"PROCESS_REQUIREMENTS": ""})
    assert done.returncode == 0
    for parameter in leaves_of(ImplementParameters):
        assert f"\n  {parameter.variable} " in done.stdout


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "REPO_URL"),
        ({"REPO_URL": "https://example.com/a/b"}, "INSTRUCTIONS_S3_URI"),
        ({"REPO_URL": "ext::sh -c x", "INSTRUCTIONS": "x"}, "REPO_URL"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS_S3_URI": "x"}, "INSTRUCTIONS_S3_URI"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "CLAUDE_SETTINGS": "{"}, "CLAUDE_SETTINGS"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "CLAUDE_SETTINGS": "[]"}, "CLAUDE_SETTINGS"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "DISABLE_PROMPT_CACHE": "1"}, "DISABLE_PROMPT"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "CLONE_DEPTH": "all"}, "CLONE_DEPTH"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "MAX_TURNS": "-1"}, "MAX_TURNS"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "MAX_DELETED_SHARE": "2"}, "MAX_DELETED_SHARE"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "ALLOW_SUBMODULES": "x"}, "ALLOW_SUBMODULES"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "BRANCH_NAME": "-x"}, "BRANCH_NAME"),
        ({"REPO_URL": "https://example.com/a/b", "INSTRUCTIONS": "x", "CLAUDE_PROVIDER": "x"}, "CLAUDE_PROVIDER"),
    ],
)
def test_a_missing_or_wrong_variable_is_named_with_status_2(
    variables: dict[str, str], named: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESS_REQUIREMENTS", "true")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert container.main([]) == 2
    said = capsys.readouterr()
    assert named in last_line(said.err)
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAX_BUDGET", "MAX_BUDGET_USD"),
        ("MAX_TURN", "MAX_TURNS"),
        ("CLAUDE_MODEL", "CLAUDE_MODEL_ID"),
        ("INSTRUCTION_S3_URI", "INSTRUCTIONS_S3_URI"),
        ("BRANCHNAME", "BRANCH_NAME"),
        ("ALLOW_SUBMODULE", "ALLOW_SUBMODULES"),
    ],
)
def test_a_misspelt_variable_is_refused_by_its_name(
    name: str, meant: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"PROCESS_REQUIREMENTS": "true", "REPO_URL": "https://example.com/a/b", name: "5"}.items():
        monkeypatch.setenv(variable, value)
    assert container.main([]) == 2
    refusal = f"{name} is not a variable of this program: set {meant}, or unset {name}"
    assert refusal in last_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["GIT_BRANCH", "CI_COMMIT_MESSAGE", "BRANCH", "AWS_REGIONS", "CLAUDE_CODE_BLOCKS"])
def test_a_variable_of_another_program_is_none_of_ours(name: str) -> None:
    assert misspelt_variable({name: "x"}) is None


def test_what_is_set_right_may_stand_beside_something_like_it() -> None:
    assert misspelt_variable({"MAX_BUDGET": "5", "MAX_BUDGET_USD": "5"}) is None


def test_a_check_starts_nothing_and_says_what_is_set(world: World) -> None:
    world.stack.git.asked.clear()
    world.stack.model.asked.clear()
    variables = {"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", "MAX_TURNS": "7", "PROCESS_REQUIREMENTS": ""}
    check = start(variables, options=("--check",))
    assert check.returncode == 0, check.stderr
    assert check.stdout.startswith("valid: INSTRUCTIONS, MAX_TURNS, REPO_URL; everything else has its default.")
    assert check.stderr == ""
    assert not world.stack.git.asked
    assert not world.stack.model.asked


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MAX_TURNS": "many"}, "InvalidVariable: MAX_TURNS cannot be used"),
        ({"CLAUDE_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": ""}, "ApiKeyMissing: no API key for anthropic"),
        ({"CLAUDE_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": "a b"}, "InvalidCredential: "),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "AwsCredentialsMissing: no AWS credentials"),
        ({"MAX_BUDGET": "5"}, "InvalidVariable: MAX_BUDGET is not a variable"),
        ({"PREFECT_API_KEY": "a\nb"}, "InvalidCredential: "),
    ],
)
def test_a_check_names_the_first_that_is_wrong_with_status_2(
    world: World, variables: dict[str, str], message: str
) -> None:
    check = start({"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", **variables}, options=("--check",))
    assert check.returncode == 2
    assert last_line(check.stderr).startswith(message)
    assert check.stdout == ""


def test_every_variable_of_the_container_before_this_one_counts(world: World) -> None:
    secret = {"token": GIT_TOKEN, "email": "container@example.com"}
    frankfurt = boto3.Session(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, region_name="eu-central-1")
    name = f"other/{world.name}"
    frankfurt.client("secretsmanager", endpoint_url=world.stack.aws_url).create_secret(
        Name=name, SecretString=json.dumps(secret)
    )
    uri = world.instructions({"main.md": b"Greet", "examples/a.json": b"{}"}) + "*"
    denied = Turn("I write.", (Tool("Write", {"file_path": "{cwd}/a", "content": "a"}),))
    allowed = Turn("I run.", (Tool("Bash", {"command": "cat {instructions}/examples/a.json > b"}),))
    world.script(denied, allowed, Turn("Done."))
    done = start(
        {
            "REPO_URL": world.repo_url,
            "INSTRUCTIONS_S3_URI": uri,
            "BRANCH_NAME": "feature/of-the-container",
            "COMMIT_MESSAGE": "By variables",
            "GIT_CREDENTIALS_SECRET_ID": name,
            "CLAUDE_MODEL_ID": "us.anthropic.claude-sonnet-5-5",
            "DISABLE_PROMPT_CACHE": "true",
            "AWS_REGION": "eu-central-1",
            "CLAUDE_SETTINGS": '{"permissions": {"allow": ["Bash(*)"], "deny": ["Write"]}}',
        }
    )
    assert done.returncode == 0, done.stderr
    commit = world.git("rev-parse", "feature/of-the-container")
    assert last_line(done.stdout) == f"completed: branch feature/of-the-container commit {commit}"
    assert world.git("show", "--no-patch", "--format=%ae %s", commit) == "container@example.com By variables"
    assert world.git("ls-tree", "--name-only", commit).splitlines() == ["CLAUDE.md", "README.md", "b"]
    first = world.stack.model.asked[0]
    assert first.path.startswith("/model/us.anthropic.claude-sonnet-5-5/")
    assert "/eu-central-1/bedrock/" in first.headers["authorization"]
    assert b"cache_control" not in first.body


def test_prompts_are_cached_unless_that_is_switched_off(world: World) -> None:
    done = start({"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet"})
    assert done.returncode == 0, done.stderr
    assert b"cache_control" in world.stack.model.asked[0].body


def test_a_policy_is_set_by_variable_and_named_by_it(world: World) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    given = {"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet"}
    refused = start(given)
    assert refused.returncode == 1
    assert "CiFilesChanged" in last_line(refused.stderr)
    assert "set ALLOW_CI_CHANGES if that is wanted" in last_line(refused.stderr)
    assert start({**given, "ALLOW_CI_CHANGES": "true", "ALLOW_SECRETS_IN": "a/*, b"}).returncode == 0


def test_a_failed_run_ends_with_its_reason_and_status_1(world: World) -> None:
    done = start({"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", "GIT_CREDENTIALS_SECRET_ID": "none/such"})
    assert done.returncode == 1
    assert last_line(done.stderr).startswith(f"{errors.SecretNotFound.__name__}: secret 'none/such' does not exist")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: run as root to check this")
def test_without_root_the_run_works_and_says_that_the_agent_is_not_isolated(world: World) -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    home = world.stack.home.parent / f"{world.name}-home"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    world.shell("setsid nohup sleep 300 >/dev/null 2>&1 & echo hi > hi.txt")
    try:
        done = start(
            {"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", "HOME": str(home), "PREFECT_HOME": f"{home}/prefect"},
            nobody,
        )
        assert done.returncode == 0, done.stderr
        assert "the agent is not isolated from this process: not running as root" in done.stderr
        alive = [p for p in psutil.process_iter() if p.uids().real == 65534 and p.status() != psutil.STATUS_ZOMBIE]
        assert alive == []
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)

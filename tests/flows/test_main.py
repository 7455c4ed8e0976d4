"""The command of the container: `python -m flows` as a process, with the variables of `docker run`."""

import json
import logging
import os
import subprocess
from collections.abc import Callable, Iterator

import boto3
import psutil
import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, GIT_TOKEN
from flows import __main__ as container
from flows import errors
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.result import Outcome, RunResult
from flows.parameters.fields import leaves_of
from flows.parameters.follow_up import OWN, FollowUpParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.misspelling import misspelt_variable
from flows.runtime.last_lines import print_result
from tests.support.flows_command import last_line, start
from tests.support.world import World

Container = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def unchanged_log_level() -> Iterator[None]:
    """Undo what the command does to the log level of its process: other tests read the log of a run."""
    logger = logging.getLogger("prefect")
    level = logger.level
    yield
    logger.setLevel(level)


def test_the_help_names_every_variable_and_exits_with_status_0() -> None:
    process = start({"PROCESS_REQUIREMENTS": ""})
    assert process.returncode == 0
    for parameter in leaves_of(ImplementParameters):
        assert f"\n  {parameter.variable} " in process.stdout
    _, of_follow_up = process.stdout.split("python -m flows follow_up has these variables")
    for parameter in leaves_of(FollowUpParameters):
        is_shown = f"\n  {parameter.variable} " in of_follow_up
        assert is_shown is (parameter.name in OWN), "the others are above"


PAGE = "https://github.com/o/r/pull/1"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "InvalidFollowUp: PULL_REQUEST_URL and FLOW_RUN_ID are both set, or both empty"),
        ({"PULL_REQUEST_URL": "https://github.com/o/r"}, "InvalidForgePage: "),
        ({"PULL_REQUEST_URL": PAGE, "MERGE_BASE": "1"}, "InvalidVariable: MERGE_BASE cannot be used"),
        ({"PULL_REQUEST_URL": PAGE, "MAX_TURNS": "many"}, "InvalidVariable: MAX_TURNS cannot be used"),
        ({"PULL_REQUEST_URI": PAGE}, "InvalidVariable: PULL_REQUEST_URI is not a variable of this program: set PULL_R"),
        ({"PULL_REQUEST_URL": PAGE, "MERGE_BASES": "true"}, "InvalidVariable: MERGE_BASES is not a variable"),
        ({"PULL_REQUEST_URL": PAGE, "PREFECT_API_KEY": "a\nb"}, "InvalidCredential: "),
    ],
)
@pytest.mark.parametrize("options", [["follow_up"], ["follow_up", "--check"]], ids=["run", "check"])
def test_a_follow_up_with_a_wrong_variable_starts_nothing_and_has_status_2(
    options: list[str],
    variables: dict[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert container.main(options) == 2
    assert last_line(capsys.readouterr().err).startswith(message)


def test_a_check_of_a_follow_up_lists_its_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"PULL_REQUEST_URL": PAGE, "REVIEWERS_HEARD": "7, 8", "REPO_URL": "x"}.items():
        monkeypatch.setenv(variable, value)
    assert container.main(["follow_up", "--check"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("valid: PULL_REQUEST_URL, REVIEWERS_HEARD; every other parameter is as in the run that")


@pytest.mark.parametrize(
    ("variables", "name"),
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
    variables: dict[str, str], name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESS_REQUIREMENTS", "true")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert container.main([]) == 2
    output = capsys.readouterr()
    assert name in last_line(output.err)
    assert "Traceback" not in output.err


@pytest.mark.parametrize("word", ["1", "Yes", '"on"'])
def test_another_word_for_true_starts_nothing_and_has_status_2(
    word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESS_REQUIREMENTS", word)
    assert container.main([]) == 2
    assert "set it to true" in last_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "correct_name"),
    [
        ("MAX_BUDGET", "MAX_BUDGET_USD"),
        ("MAX_TURN", "MAX_TURNS"),
        ("CLAUDE_MODEL", "CLAUDE_MODEL_ID"),
        ("INSTRUCTION_S3_URI", "INSTRUCTIONS_S3_URI"),
        ("BRANCHNAME", "BRANCH_NAME"),
        ("ALLOW_SUBMODULE", "ALLOW_SUBMODULES"),
        ("PULL_REQUEST_REVIEWERS", "REVIEWERS"),
        ("LIMITS_MAX_TURNS", "MAX_TURNS"),
        ("POLICY_LEAVE_OUT", "LEAVE_OUT"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_correct_name(
    name: str, correct_name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"PROCESS_REQUIREMENTS": "true", "REPO_URL": "https://example.com/a/b", name: "5"}.items():
        monkeypatch.setenv(variable, value)
    assert container.main([]) == 2
    refusal = f"{name} is not a variable of this program: set {correct_name}, or unset {name}"
    assert refusal in last_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["GIT_BRANCH", "CI_COMMIT_MESSAGE", "BRANCH", "AWS_REGIONS", "CLAUDE_CODE_BLOCKS"])
def test_variables_of_other_programs_are_accepted(name: str) -> None:
    assert misspelt_variable({name: "x"}) is None


def test_a_similar_name_is_accepted_if_the_correct_variable_is_set() -> None:
    assert misspelt_variable({"MAX_BUDGET": "5", "MAX_BUDGET_USD": "5"}) is None


def test_a_check_starts_nothing_and_lists_the_variables_that_are_set(world: World) -> None:
    world.stack.git.requests.clear()
    world.stack.model.requests.clear()
    variables = {"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", "MAX_TURNS": "7", "PROCESS_REQUIREMENTS": ""}
    process = start(variables, options=("--check",))
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("valid: INSTRUCTIONS, MAX_TURNS, REPO_URL; every other parameter has its default.")
    assert process.stderr == ""
    assert not world.stack.git.requests
    assert not world.stack.model.requests


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
def test_a_check_names_the_first_wrong_variable_with_status_2(
    world: World, variables: dict[str, str], message: str
) -> None:
    process = start({"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", **variables}, options=("--check",))
    assert process.returncode == 2
    assert last_line(process.stderr).startswith(message)
    assert process.stdout == ""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CLAUDE_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": "a b"}, "InvalidCredential: the Anthropic API key"),
        ({"CLAUDE_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": "sk-é"}, "InvalidCredential: the Anthropic API key"),
        ({"CLAUDE_PROVIDER": "anthropic", "ANTHROPIC_API_KEY": '""'}, "ApiKeyMissing: no API key"),
        ({"AWS_PROFILE": "none-such", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "AwsCredentialsMissing: "),
        ({"AWS_ENDPOINT_URL_S3": "localhost:4566"}, "InvalidEndpoint: AWS_ENDPOINT_URL_S3 is 'localhost:4566'"),
    ],
)
def test_credentials_that_no_run_can_use_start_nothing_and_have_status_2(
    world: World, variables: dict[str, str], message: str
) -> None:
    process = start({"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", **variables})
    assert process.returncode == 2
    assert last_line(process.stderr).startswith(message)
    assert "Traceback" not in process.stderr
    assert "Beginning flow run" not in process.stderr


def test_every_variable_of_the_previous_container_has_its_effect(world: World) -> None:
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
    process = start(
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
    assert process.returncode == 0, process.stderr
    commit = world.git("rev-parse", "feature/of-the-container")
    assert last_line(process.stdout) == f"completed: branch feature/of-the-container commit {commit}"
    assert world.git("show", "--no-patch", "--format=%ae %s", commit) == "container@example.com By variables"
    assert world.git("ls-tree", "--name-only", commit).splitlines() == ["CLAUDE.md", "README.md", "b"]
    first = world.stack.model.requests[0]
    assert first.path.startswith("/model/us.anthropic.claude-sonnet-5-5/")
    assert "/eu-central-1/bedrock/" in first.headers["authorization"]
    assert b"cache_control" not in first.body


def test_an_empty_variable_of_prefect_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setenv("PREFECT_API_KEY", " ")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
    assert container.main([]) == 0
    assert "PREFECT_API_URL" in capsys.readouterr().out
    assert {"PREFECT_API_URL", "PREFECT_API_KEY"}.isdisjoint(os.environ)
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"


def test_prompts_are_cached_by_default(world: World) -> None:
    process = start({"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet"})
    assert process.returncode == 0, process.stderr
    assert b"cache_control" in world.stack.model.requests[0].body


def test_a_policy_is_set_by_its_variable_and_errors_name_the_variable(world: World) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    variables = {"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet"}
    process = start(variables)
    assert process.returncode == 1
    assert "CiFilesChanged" in last_line(process.stderr)
    assert "set ALLOW_CI_CHANGES if that is wanted" in last_line(process.stderr)
    assert start({**variables, "ALLOW_CI_CHANGES": "true", "ALLOW_SECRETS_IN": "a/*, b"}).returncode == 0


def test_a_failed_run_prints_its_error_last_and_exits_with_status_1(world: World) -> None:
    process = start({"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", "GIT_CREDENTIALS_SECRET_ID": "none/such"})
    assert process.returncode == 1
    assert last_line(process.stderr).startswith(f"{errors.SecretNotFound.__name__}: secret 'none/such' does not exist")
    assert "Traceback" not in process.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: run as root to check this")
def test_without_root_the_run_works_and_warns_that_the_agent_is_not_isolated(world: World) -> None:
    as_other_user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    home = world.stack.home.parent / f"{world.name}-home"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    world.shell("setsid nohup sleep 300 >/dev/null 2>&1 & echo hi > hi.txt")
    try:
        process = start(
            {"REPO_URL": world.repo_url, "INSTRUCTIONS": "Greet", "HOME": str(home), "PREFECT_HOME": f"{home}/prefect"},
            as_other_user,
        )
        assert process.returncode == 0, process.stderr
        assert "the agent is not isolated from this process: the flow does not run as root" in process.stderr
        processes = (process for process in psutil.process_iter() if process.uids().real == 65534)
        alive = [process for process in processes if process.status() != psutil.STATUS_ZOMBIE]
        assert alive == []
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (RunResult(Outcome.NO_CHANGES, branch="work", turns=2), "the agent changed nothing, so branch work was not"),
        (RunResult(Outcome.NO_CHANGES, branch="work"), "nobody has asked for anything new, so branch work was not"),
        (RunResult(Outcome.ANSWERED, branch="work", answers=1, turns=2), "answered 1 thread of the review, so branch"),
        (
            RunResult(Outcome.DELIVERED, branch="work", commit="c0ffee", answers=2),
            "branch work commit c0ffee, answered 2 threads of the review",
        ),
        (
            RunResult(Outcome.NO_CHANGES, branch="work", unheard=("eve", "bob")),
            "nobody has asked for anything new, so branch work was not pushed; 2 comments were not heard: see",
        ),
        (
            RunResult(Outcome.DELIVERED, branch="work", commit="c0ffee", answers=1, unheard=("eve",)),
            "branch work commit c0ffee, answered 1 thread of the review; 1 comment was not heard: see the report",
        ),
    ],
    ids=["nothing changed", "nothing new", "answered", "delivered", "nobody heard", "one not heard"],
)
def test_the_last_line_says_what_a_follow_up_did(
    result: RunResult, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_result(result, as_json=False)
    assert capsys.readouterr().out.startswith(f"completed: {line}")


@pytest.mark.parametrize(
    ("request_result", "line"),
    [
        (None, "completed: branch work commit c0ffee"),
        (
            PullRequestResult("https://github.com/o/r/pull/7", 7, state="open"),
            "pull request: https://github.com/o/r/pull/7",
        ),
        (PullRequestResult(fault="ForgeAuthFailed: refused"), "no pull request: ForgeAuthFailed: refused"),
    ],
    ids=["not asked for", "opened", "missing"],
)
def test_the_last_line_names_the_pull_request(
    request_result: PullRequestResult | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = RunResult(Outcome.DELIVERED, branch="work", commit="c0ffee", pull_request=request_result)
    print_result(result, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == line

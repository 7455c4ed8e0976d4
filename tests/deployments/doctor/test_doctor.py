"""`python -m deployments doctor`: each check against a real server, in success and in failure."""

import json
import re

import pytest

from deployments.local.git_remote import GitFault
from deployments.local.scripted_model import ModelFault
from deployments.local.stack import GIT_EMAIL, GIT_TOKEN, LocalStack
from tests.support.commands import SetUpCommand, set_up_command
from tests.support.forges.fixtures import issue_url, serve_with_git
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.github_app import APP_FIELDS, AppServer
from tests.support.forges.review_state import StoredIssue
from tests.support.forges.stand_in import Fault, Reply
from tests.support.world import World


@pytest.fixture
def doctor(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> SetUpCommand:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", stack.aws_url)
    return set_up_command(stack, "doctor")


def results(output: str) -> dict[str, str]:
    """Return the verdict and the text of each finding, by the name of its check."""
    rows = re.findall(r"^(ok|warning|failed|skipped) +([\w ]+): (.*)$", output, re.MULTILINE)
    return {name: f"{verdict}: {text}" for verdict, name, text in rows}


def test_a_healthy_installation_passes_every_check(world: World, doctor: SetUpCommand) -> None:
    uri = f"{world.instructions()}*"
    output = doctor("--repo-url", world.repo_url, "--instructions", uri)
    rows = results(output)
    verdicts = {name: text.partition(":")[0] for name, text in rows.items()}
    # The stack has no deployment, its token is not bound to a repository, and no pull request is asked for.
    assert {name for name, verdict in verdicts.items() if verdict != "ok"} <= {
        "deployments",
        "git token",
        "isolation of the agent",
        "pull requests",
    }
    assert len(rows) == 13
    assert "main" in rows["repository"]
    assert "us.anthropic.claude-sonnet-5-5 by bedrock replied" in rows["model"]
    assert "1 files, the main file is main.md" in rows["instructions"]
    assert "arn:aws" in rows["AWS credentials"]
    assert world.branches() == {"main"}, "nothing is pushed"
    assert GIT_TOKEN not in output
    assert "can start" in output


def test_without_a_repository_and_instructions_those_checks_are_skipped(
    stack: LocalStack, doctor: SetUpCommand
) -> None:
    assert stack.prefect_api_url
    rows = results(doctor())
    for name in ("repository", "right to push", "instructions"):
        assert rows[name].startswith("skipped"), name


def test_an_issue_is_checked_as_a_run_reads_it(world: World, doctor: SetUpCommand) -> None:
    with serve_with_git(GitHubStandIn, world) as forge:
        settings = ("--set", "forge=github", "--set", f"forge_api_url={forge.api_url}")
        arguments = ("--repo-url", forge.repo_url, "--instructions", issue_url(forge), *settings)
        missing = results(doctor(*arguments, status=1))["instructions"]
        assert missing.startswith("failed: IssueNotFound: ")
        forge.reviews.issues.append(StoredIssue(12, "Say\nhello", "In hello.txt"))
        forge.reviews.say("grace", "in French", 5, number=12, is_on_issue=True)
        row = results(doctor(*arguments))["instructions"]
        assert row.startswith(f"ok: {issue_url(forge)}: 'Say hello', 1 comment, of which a run hears")
        assert not forge.writes("^/api/(?!graphql)")
        forge.reviews.issues[0].is_open = False
        assert "InvalidIssue" in results(doctor(*arguments, status=1))["instructions"]
    assert "add --repo-url" in doctor("--instructions", "https://github.com/o/r/issues/12", status=1)


def test_the_anthropic_api_is_checked_too(world: World, doctor: SetUpCommand) -> None:
    assert "claude-sonnet-5-5 by anthropic replied" in results(doctor("--set", "provider=anthropic"))["model"]
    assert world.stack.model.requests[-1].path == "/v1/messages"


@pytest.mark.parametrize("provider", ["anthropic", "bedrock"])
def test_the_error_message_of_the_provider_is_shown(world: World, doctor: SetUpCommand, provider: str) -> None:
    world.script().faults.append(ModelFault(403, "You don't have access to the model with the specified model ID."))
    output = doctor("--set", f"provider={provider}", status=1)
    row = results(output)["model"]
    assert row.startswith("failed")
    assert "answered 403: You don't have access to the model" in row
    assert "1 failed" in output


def test_an_unknown_model_is_reported(world: World, doctor: SetUpCommand) -> None:
    assert world.repo_url
    row = results(doctor("--set", "claude_model_id=us.anthropic.claude-none", status=1))["model"]
    assert "answered 400: The provided model identifier is invalid" in row


def test_a_read_only_token_is_reported_before_a_run_costs_anything(world: World, doctor: SetUpCommand) -> None:
    world.stack.git.faults.append(GitFault("git-receive-pack", 403))
    rows = results(doctor("--repo-url", world.repo_url, status=1))
    assert rows["repository"].startswith("ok")
    assert rows["right to push"].startswith("failed: GitAuthFailed")


@pytest.mark.parametrize(
    ("secret", "name"),
    [
        ({"token": "wrong", "email": GIT_EMAIL}, "GitAuthFailed"),
        ({"token": GIT_TOKEN, "email": GIT_EMAIL, "repositories": ["https://github.com/o/*"]}, "RepositoryNotAllowed"),
    ],
)
def test_a_token_that_does_not_fit_the_repository_is_reported(
    world: World, doctor: SetUpCommand, secret: dict[str, object], name: str
) -> None:
    world.stack.put_secret(json.dumps(secret), f"doctor/{world.name}")
    arguments = ("--repo-url", world.repo_url, "--set", f"git_credentials_secret_id=doctor/{world.name}")
    rows = results(doctor(*arguments, status=1))
    assert rows["repository"].startswith(f"failed: {name}")
    assert rows["right to push"].startswith(f"failed: {name}")


def test_a_github_app_is_checked_with_a_token_of_its_own(world: World, doctor: SetUpCommand) -> None:
    with AppServer() as server:
        world.stack.put_secret(json.dumps({**APP_FIELDS, "hosts": [server.url[7:]]}), f"doctor/{world.name}")
        settings = ("--set", f"git_credentials_secret_id=doctor/{world.name}", "--set", "forge=github")
        rows = results(doctor("--repo-url", f"{server.url}/acme/widgets.git", *settings, status=1))
        assert "GitHub App 123456" in rows["git token"]
        assert "access_tokens" in str([request.path for request in server.requests])
        assert rows["repository"].startswith("failed: "), "the stand-in of the App serves no git"
        assert "GitHub App" not in rows["repository"]


def test_the_api_of_the_forge_is_checked_if_a_pull_request_is_asked_for(world: World, doctor: SetUpCommand) -> None:
    with serve_with_git(GitHubStandIn, world) as forge:
        settings = [f"{name}={value}" for name, value in (("forge", "github"), ("forge_api_url", forge.api_url))]
        arguments = [word for each in (*settings, "pull_request.pull_request=draft") for word in ("--set", each)]
        rows = results(doctor("--repo-url", forge.repo_url, *arguments))
        assert rows["pull requests"].startswith(f"ok: {forge.api_url} accepts the token")
        assert forge.writes("^/api") == []
        forge.faults.append(Fault("GET /api", Reply(401, {"message": "Bad credentials"})))
        rows = results(doctor("--repo-url", forge.repo_url, *arguments, status=1))
        assert rows["pull requests"].startswith("failed: ForgeAuthFailed")
        assert rows["right to push"].startswith("ok")


def test_the_other_checks_run_after_one_has_failed(world: World, doctor: SetUpCommand) -> None:
    output = doctor("--repo-url", world.repo_url, "--set", "git_credentials_secret_id=none/such", status=1)
    rows = results(output)
    assert rows["git token"].startswith("failed: SecretNotFound")
    assert rows["repository"].startswith("skipped"), "it needs the token"
    assert rows["model"].startswith("ok")


def test_a_wrong_parameter_is_refused_before_any_check(stack: LocalStack, doctor: SetUpCommand) -> None:
    assert stack.prefect_api_url
    assert "InvalidRegion" in doctor("--set", "aws_region=moon", status=1)
    assert "InvalidRepoUrl" in doctor("--repo-url", "git@github.com:o/r.git", status=1)
    assert "has no parameter 'model'" in doctor("--set", "model=x", status=1)


def test_missing_credentials_are_reported_with_the_variables_to_set(
    world: World, doctor: SetUpCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.repo_url
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    rows = results(doctor(status=1))
    assert rows["AWS credentials"].startswith("failed")
    assert "AWS_PROFILE" in rows["AWS credentials"]
    assert "AwsCredentialsMissing" in rows["model"]

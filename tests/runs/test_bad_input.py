"""Invalid input through the complete flow: each mistake has its own named error, and costs nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from deployments.local.stack import BUCKET, GIT_EMAIL, GIT_TOKEN
from flows import errors
from tests.support.runs import Run, steps_started
from tests.support.world import World


def test_a_run_does_not_push_to_the_default_branch_unless_it_is_allowed(world: World, run: Callable[..., Run]) -> None:
    refused_run = run(branch_name="main")
    assert isinstance(refused_run.error, errors.ProtectedBranch)
    assert not world.stack.model.requests
    assert run(branch_name="main", allow_default_branch=True).delivered().branch == "main"


def test_a_branch_with_the_name_of_a_folder_of_branches_is_refused_before_the_agent_starts(
    world: World, run: Callable[..., Run]
) -> None:
    world.git("branch", "a/b", "main")
    assert isinstance(run(branch_name="a").error, errors.BranchConflict)
    assert isinstance(run(branch_name="main/x").error, errors.BranchConflict)
    assert not world.stack.model.requests


def test_a_missing_base_branch_raises_a_named_error(run: Callable[..., Run]) -> None:
    refused_run = run(base_branch="nowhere")
    assert isinstance(refused_run.error, errors.BaseRefNotFound)
    assert "the remote has main" in str(refused_run.error)


def test_an_empty_repository_raises_a_named_error(world: World, run: Callable[..., Run]) -> None:
    url = world.stack.git.create(f"{world.name}-empty")
    assert isinstance(run(repo_url=url).error, errors.EmptyRepo)


def test_a_missing_repository_is_not_retried(world: World, run: Callable[..., Run]) -> None:
    refused_run = run(repo_url=world.repo_url.replace("repo-", "no-repo-"))
    assert isinstance(refused_run.error, errors.RepoNotFound)
    assert refused_run.run_count("clone") == 1


def test_a_wrong_token_is_not_retried(world: World, run: Callable[..., Run]) -> None:
    name = f"wrong/{world.name}"
    world.stack.put_secret(json.dumps({"token": "not-the-token", "email": GIT_EMAIL}), name)
    refused_run = run(git_credentials_secret_id=name)
    assert isinstance(refused_run.error, errors.GitAuthFailed)
    assert refused_run.run_count("clone") == 1
    assert not world.stack.model.requests


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_an_unknown_model_is_not_retried(world: World, run: Callable[..., Run], provider: str) -> None:
    refused_run = run(claude_model_id="claude-of-tomorrow", provider=provider)
    assert isinstance(refused_run.error, errors.ModelNotFound)
    assert refused_run.run_count("claude") == 1
    assert world.branches() == {"main"}


def test_a_wrong_api_key_fails_after_one_request(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "wrong")
    refused_run = run(provider="anthropic")
    assert isinstance(refused_run.error, errors.ModelAccessDenied)
    assert len(world.stack.model.requests) == 1


def test_without_an_api_key_no_step_is_started(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    refused_run = run(provider="anthropic")
    assert isinstance(refused_run.error, errors.ApiKeyMissing)
    assert not steps_started(caplog)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"repo_url": "ext::sh -c x"}, errors.InvalidRepoUrl),
        ({"instructions": "", "instructions_s3_uri": "https://x"}, errors.InvalidS3Uri),
        ({"instructions": " \n"}, errors.InvalidInstructionsSource),
        ({"instructions": "x", "instructions_s3_uri": "s3://bucket/x.md"}, errors.InvalidInstructionsSource),
        ({"branch_name": "-x"}, errors.InvalidBranchName),
        ({"base_branch": "a..b"}, errors.InvalidBranchName),
        ({"commit_message": " "}, errors.InvalidCommitMessage),
        ({"clone_depth": -1}, errors.InvalidLimits),
        ({"git_credentials_secret_id": "no secret"}, errors.InvalidSecretId),
        ({"aws_region": "here"}, errors.InvalidRegion),
        ({"claude_model_id": "--model"}, errors.InvalidModelId),
        ({"claude_settings": {"hooks": {}}}, errors.InvalidSettings),
        ({"claude_settings": {"permissions": {"allow": "Bash"}}}, errors.InvalidSettings),
        ({"claude_code_block": "none-such"}, errors.BlockNotFound),
    ],
)
def test_invalid_parameters_raise_a_named_error_before_any_task(
    run: Callable[..., Run], parameters: dict[str, Any], error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    refused_run = run(**parameters)
    assert isinstance(refused_run.error, error)
    assert not steps_started(caplog)
    assert str(refused_run.error) in str(refused_run.state.message)


@pytest.mark.parametrize(
    ("secret", "error"),
    [
        ("not json", errors.InvalidGitSecret),
        ('{"token": "a b", "email": "a@b.c"}', errors.InvalidGitSecret),
        (None, errors.SecretNotFound),
    ],
)
def test_an_unusable_secret_raises_a_named_error(
    world: World, run: Callable[..., Run], secret: str | None, error: type[Exception]
) -> None:
    name = f"bad/{world.name}"
    if secret is not None:
        world.stack.put_secret(secret, name)
    refused_run = run(git_credentials_secret_id=name)
    assert isinstance(refused_run.error, error)
    assert refused_run.run_count("secret") == 1
    assert not world.stack.git.requests


def test_missing_instructions_stop_the_run_before_the_agent(world: World, run: Callable[..., Run]) -> None:
    refused_run = run(instructions_s3_uri=f"s3://{BUCKET}/none-such.md")
    assert isinstance(refused_run.error, errors.InstructionsNotFound)
    assert refused_run.run_count("instructions") == 1
    assert not world.stack.model.requests


def test_if_the_default_branch_is_unknown_a_run_only_pushes_a_new_branch_that_starts_from_base_branch(
    world: World, run: Callable[..., Run]
) -> None:
    world.git("symbolic-ref", "HEAD", "refs/heads/not-there")
    first = world.git("rev-parse", "main")
    assert isinstance(run(branch_name="main").error, errors.ProtectedBranch)
    assert isinstance(run(branch_name="new").error, errors.BaseRefNotFound)
    assert not world.stack.model.requests
    delivery = run(branch_name="new", base_branch="main").delivered()
    assert world.git("rev-parse", "new") == delivery.commit
    assert world.git("rev-parse", "main") == first


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"hosts": ["127.0.0.1"]}, errors.RepositoryNotAllowed),
        ({"hosts": ["github.com"]}, errors.RepositoryNotAllowed),
        ({"repositories": ["{server}/other-*"]}, errors.RepositoryNotAllowed),
        ({"hosts": ["{host}"], "repositories": ["https://{host}/*"]}, errors.RepositoryNotAllowed),
        ({"hosts": []}, errors.InvalidGitSecret),
        ({"hosts": "{host}"}, errors.InvalidGitSecret),
        ({"repositories": [""]}, errors.InvalidGitSecret),
        ({"repository": "{server}/*"}, errors.InvalidGitSecret),
    ],
)
def test_a_token_for_other_repositories_is_never_sent(
    world: World, run: Callable[..., Run], fields: dict[str, Any], error: type[Exception]
) -> None:
    server = world.stack.git.url
    lists = json.dumps(fields).replace("{server}", server).replace("{host}", server.removeprefix("http://"))
    secret = {"token": GIT_TOKEN, "email": GIT_EMAIL, **json.loads(lists)}
    world.stack.put_secret(json.dumps(secret), world.name)
    refused_run = run(git_credentials_secret_id=world.name)
    assert isinstance(refused_run.error, error)
    assert refused_run.run_count("secret") == 1
    assert not world.stack.git.requests
    assert not world.stack.model.requests
    if error is errors.RepositoryNotAllowed:
        assert world.repo_url in str(refused_run.error)

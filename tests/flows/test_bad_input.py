"""What a caller can get wrong, through the whole flow: each has its name, and costs nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from deployments.local.stack import BUCKET, GIT_EMAIL, GIT_TOKEN
from flows import errors
from tests.support.runs import Run, steps_started
from tests.support.world import World


def test_the_default_branch_is_protected_unless_allowed(world: World, run: Callable[..., Run]) -> None:
    refused = run(branch_name="main")
    assert isinstance(refused.error, errors.ProtectedBranch)
    assert not world.stack.model.asked
    assert run(branch_name="main", allow_default_branch=True).delivered().branch == "main"


def test_a_branch_beside_a_folder_of_its_name_is_refused_before_the_agent_starts(
    world: World, run: Callable[..., Run]
) -> None:
    world.git("branch", "a/b", "main")
    assert isinstance(run(branch_name="a").error, errors.BranchConflict)
    assert isinstance(run(branch_name="main/x").error, errors.BranchConflict)
    assert not world.stack.model.asked


def test_a_missing_base_branch_is_named(run: Callable[..., Run]) -> None:
    refused = run(base_branch="nowhere")
    assert isinstance(refused.error, errors.BaseRefNotFound)
    assert "it has main" in str(refused.error)


def test_an_empty_repository_is_named(world: World, run: Callable[..., Run]) -> None:
    url = world.stack.git.create(f"{world.name}-empty")
    assert isinstance(run(repo_url=url).error, errors.EmptyRepo)


def test_a_missing_repository_is_named_and_not_tried_again(world: World, run: Callable[..., Run]) -> None:
    refused = run(repo_url=world.repo_url.replace("repo-", "no-repo-"))
    assert isinstance(refused.error, errors.RepoNotFound)
    assert refused.run_count("clone") == 1


def test_a_wrong_token_is_named_and_not_tried_again(world: World, run: Callable[..., Run]) -> None:
    name = f"wrong/{world.name}"
    world.stack.put_secret(json.dumps({"token": "not-the-token", "email": GIT_EMAIL}), name)
    refused = run(git_credentials_secret_id=name)
    assert isinstance(refused.error, errors.GitAuthFailed)
    assert refused.run_count("clone") == 1
    assert not world.stack.model.asked


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_an_unknown_model_is_named_and_not_tried_again(world: World, run: Callable[..., Run], provider: str) -> None:
    refused = run(claude_model_id="claude-of-tomorrow", provider=provider)
    assert isinstance(refused.error, errors.ModelNotFound)
    assert refused.run_count("claude") == 1
    assert world.branches() == {"main"}


def test_a_wrong_api_key_is_named_at_once(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "wrong")
    refused = run(provider="anthropic")
    assert isinstance(refused.error, errors.ModelAccessDenied)
    assert len(world.stack.model.asked) == 1


def test_without_an_api_key_nothing_is_started(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    refused = run(provider="anthropic")
    assert isinstance(refused.error, errors.ApiKeyMissing)
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
def test_bad_parameters_get_their_name_before_any_task(
    run: Callable[..., Run], parameters: dict[str, Any], error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    refused = run(**parameters)
    assert isinstance(refused.error, error)
    assert not steps_started(caplog)
    assert str(refused.error) in str(refused.state.message)


@pytest.mark.parametrize(
    ("secret", "error"),
    [
        ("not json", errors.InvalidGitSecret),
        ('{"token": "a b", "email": "a@b.c"}', errors.InvalidGitSecret),
        (None, errors.SecretNotFound),
    ],
)
def test_a_secret_that_cannot_be_used_is_named(
    world: World, run: Callable[..., Run], secret: str | None, error: type[Exception]
) -> None:
    name = f"bad/{world.name}"
    if secret is not None:
        world.stack.put_secret(secret, name)
    refused = run(git_credentials_secret_id=name)
    assert isinstance(refused.error, error)
    assert refused.run_count("secret") == 1
    assert not world.stack.git.asked


def test_missing_instructions_stop_the_run_before_the_agent(world: World, run: Callable[..., Run]) -> None:
    refused = run(instructions_s3_uri=f"s3://{BUCKET}/none-such.md")
    assert isinstance(refused.error, errors.InstructionsNotFound)
    assert refused.run_count("instructions") == 1
    assert not world.stack.model.asked


def test_where_the_default_branch_is_unknown_a_run_pushes_to_a_new_branch_from_a_named_start_only(
    world: World, run: Callable[..., Run]
) -> None:
    world.git("symbolic-ref", "HEAD", "refs/heads/not-there")
    first = world.git("rev-parse", "main")
    assert isinstance(run(branch_name="main").error, errors.ProtectedBranch)
    assert isinstance(run(branch_name="new").error, errors.BaseRefNotFound)
    assert not world.stack.model.asked
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
def test_a_token_for_other_repositories_goes_nowhere(
    world: World, run: Callable[..., Run], fields: dict[str, Any], error: type[Exception]
) -> None:
    server = world.stack.git.url
    lists = json.dumps(fields).replace("{server}", server).replace("{host}", server.removeprefix("http://"))
    secret = {"token": GIT_TOKEN, "email": GIT_EMAIL, **json.loads(lists)}
    world.stack.put_secret(json.dumps(secret), world.name)
    refused = run(git_credentials_secret_id=world.name)
    assert isinstance(refused.error, error)
    assert refused.run_count("secret") == 1
    assert not world.stack.git.asked
    assert not world.stack.model.asked
    if error is errors.RepositoryNotAllowed:
        assert world.repo_url in str(refused.error)

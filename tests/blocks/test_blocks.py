"""The block types: whether they follow Prefect's conventions, and the values that they return."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.types import SecretDict
from prefect_aws import AwsCredentials
from pydantic import SecretStr, ValidationError

from blocks import ClaudeCode, GitCredentials
from deployments.local.stack import LocalStack
from flows import errors
from flows.model.providers.anthropic import Anthropic
from flows.parameters.addresses import RepoUrl
from flows.parameters.claude_code import ClaudeCodeDefaults
from flows.parameters.implement import ImplementParameters
from flows.parameters.limits import Limits
from flows.repository.credentials import GitCredentials as Resolved
from flows.run.setup import model_provider
from flows.tasks.secret import load_git_credentials
from tests.support.aws_account import aws_in_this_process

BLOCKS: list[type[Block]] = [ClaudeCode, GitCredentials]


@pytest.mark.parametrize("block", BLOCKS)
class TestStandards:
    """The checks that Prefect's own integrations make of their blocks."""

    def test_has_a_description(self, block: type[Block]) -> None:
        assert block.get_description()

    def test_has_a_valid_code_example(self, block: type[Block]) -> None:
        example = block.get_code_example()
        assert example is not None
        compile(example.strip().removeprefix("```python").removesuffix("```"), block.__name__, "exec")
        assert f"from blocks import {block.__name__}" in example

    def test_has_a_logo_and_documentation(self, block: type[Block]) -> None:
        assert str(block._logo_url).startswith("https://")
        assert str(block._documentation_url).startswith("https://")

    def test_has_a_name_and_a_matching_slug(self, block: type[Block]) -> None:
        assert block._block_type_name
        assert block.get_block_type_slug() == str(block._block_type_name).lower().replace(" ", "-")

    def test_every_field_has_a_title_and_a_description(self, block: type[Block]) -> None:
        for name, field in block.model_fields.items():
            assert field.title, name
            assert field.description, name

    def test_secrets_are_not_shown(self, block: type[Block]) -> None:
        for name in {"token", "api_key"} & block.model_fields.keys():
            instance = block(**{name: "hush"})
            assert "hush" not in repr(instance) + str(instance)
            assert name in block.model_json_schema()["secret_fields"]


def test_a_token_in_the_block_is_used_unchanged() -> None:
    block = GitCredentials(token=SecretStr("t"), email="a@b.c", username="x-token-auth")
    resolved = block.resolve("us-east-1")
    assert resolved.token == SecretStr("t")
    assert (resolved.email, resolved.username) == ("a@b.c", "x-token-auth")


@pytest.mark.parametrize("around", ["\n", "\r\n", " ", "\ufeff"])
def test_white_space_around_the_fields_of_a_block_is_removed(around: str) -> None:
    block = GitCredentials(token=SecretStr(f"{around}t{around}"), email=f"a@b.c{around}", username=f"u{around}")
    resolved = block.resolve("us-east-1")
    assert (resolved.token.get_secret_value(), resolved.email, resolved.username) == ("t", "a@b.c", "u")
    claude_code = ClaudeCode(provider="anthropic", api_key=SecretStr(f"{around}k{around}"))
    provider = model_provider(claude_code.options(), claude_code)
    assert isinstance(provider, Anthropic)
    assert provider.api_key.get_secret_value() == "k"


@pytest.mark.parametrize("field", ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"])
def test_keys_of_a_block_that_cannot_be_sent_are_refused_without_showing_them(field: str) -> None:
    keys = AwsCredentials(**{"aws_access_key_id": "x", "aws_secret_access_key": "x", field: "hush\nhush"})
    with pytest.raises(errors.InvalidCredential) as of_git:
        GitCredentials(secret_id="any", aws_credentials=keys).resolve("us-east-1")
    claude_code = ClaudeCode(aws_credentials=keys)
    with pytest.raises(errors.InvalidCredential) as of_claude:
        model_provider(claude_code.options(), claude_code)
    assert "hush" not in f"{of_git.value}{of_claude.value}"
    assert ("git credentials block" in str(of_git.value), "Claude Code block" in str(of_claude.value)) == (True, True)


def test_an_api_key_that_cannot_be_sent_is_refused_and_white_space_counts_as_a_missing_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    for value, error in (("hush\nhush", errors.InvalidCredential), ("\r\n", errors.ApiKeyMissing)):
        claude_code = ClaudeCode(provider="anthropic", api_key=SecretStr(value))
        with pytest.raises(error) as raised:
            model_provider(claude_code.options(), claude_code)
        assert "hush" not in str(raised.value)


@pytest.fixture
def secret() -> Any:  # noqa: ANN401 (a fixture that yields a function)
    with aws_in_this_process():
        client = boto3.client("secretsmanager", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")

        def put(value: str | bytes) -> GitCredentials:
            content = {"SecretBinary": value} if isinstance(value, bytes) else {"SecretString": value}
            arn = client.create_secret(Name=f"s-{uuid4().hex}", **content)["ARN"]
            keys = AwsCredentials(aws_access_key_id="x", aws_secret_access_key=SecretStr("x"), region_name="eu-west-1")
            return GitCredentials(secret_id=arn, aws_credentials=keys)

        yield put


def test_the_secret_is_read_with_the_blocks_own_aws_credentials(secret: Any) -> None:  # noqa: ANN401
    resolved = secret(json.dumps({"token": "t", "email": "a@b.c", "username": "u"})).resolve("us-east-1")
    assert resolved.token.get_secret_value() == "t"
    assert (resolved.email, resolved.username) == ("a@b.c", "u")


def test_a_binary_secret_that_holds_json_is_read(secret: Any) -> None:  # noqa: ANN401
    assert secret(b'{"token": "t", "email": "a@b.c"}').resolve("us-east-1").email == "a@b.c"


@pytest.mark.parametrize(
    "value",
    [
        "hush",
        '["hush"]',
        '"hush"',
        "null",
        '{"email": "hush@b.c"}',
        '{"token": "", "email": "hush@b.c"}',
        '{"token": 7, "email": "hush@b.c"}',
        '{"token": "hush\\nhush", "email": "a@b.c"}',
        '{"token": "hush hush", "email": "a@b.c"}',
        '{"token": "hush"}',
        '{"token": "hush", "email": ""}',
        '{"token": "hush", "email": "Hush <hush@b.c>"}',
        '{"token": "hush", "email": "a@b.c", "username": "hush\'; rm -rf /"}',
        b"\xff\xfehush",
    ],
)
def test_a_malformed_secret_is_refused_without_showing_its_value(secret: Any, value: str | bytes) -> None:  # noqa: ANN401
    with pytest.raises(errors.InvalidGitSecret) as raised:
        secret(value).resolve("us-east-1")
    assert "hush" not in str(raised.value)
    assert '{"token"' in str(raised.value)


def test_an_empty_block_is_refused() -> None:
    with pytest.raises(errors.InvalidGitSecret):
        GitCredentials().resolve("us-east-1")


def test_a_missing_secret_raises_its_named_error() -> None:
    keys = AwsCredentials(aws_access_key_id="x", aws_secret_access_key=SecretStr("x"))
    with aws_in_this_process(), pytest.raises(errors.SecretNotFound):
        GitCredentials(secret_id="none", aws_credentials=keys).resolve("us-east-1")


def test_missing_aws_credentials_raise_their_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(errors.AwsCredentialsMissing):
        GitCredentials(secret_id="any").resolve("us-east-1")


def test_claude_code_returns_its_options() -> None:
    block = ClaudeCode(provider="anthropic", claude_model_id="claude-opus-5-5", limits=Limits(max_turns=7))
    options = block.options()
    assert (options.provider, options.model_id, options.limits.max_turns) == ("anthropic", "claude-opus-5-5", 7)


def test_claude_codes_fields_match_their_recording_except_for_title_and_help() -> None:
    recorded = json.loads(Path(__file__).with_name("claude_code.json").read_text())
    properties = ClaudeCode.model_json_schema()["properties"]
    for name, schema in recorded.items():
        without_words = {key: value for key, value in properties[name].items() if key not in {"title", "description"}}
        assert {**without_words, "position": schema["position"]} == schema
    assert [name for name in properties if name in recorded] == list(recorded)


def test_claude_code_has_the_titles_and_descriptions_of_the_runs_form() -> None:
    for name in ClaudeCodeDefaults.model_fields:
        field, parameter = ClaudeCode.model_fields[name], ImplementParameters.model_fields[name]
        assert field.title == parameter.title
        assert field.description == parameter.description or name == "aws_region"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"aws_region": "here"}, errors.InvalidRegion), ({"claude_model_id": "-x"}, errors.InvalidModelId)],
)
def test_a_wrong_value_in_a_claude_code_block_raises_its_named_error(
    wrong: dict[str, str], error: type[errors.RunError]
) -> None:
    with pytest.raises(error):
        ClaudeCode(**wrong)


def test_settings_of_a_block_are_checked_in_the_process_of_the_run() -> None:
    options = ClaudeCode(claude_settings={"hooks": {}}).options()
    parameters = {"repo_url": "https://github.com/o/r.git", "instructions": "x", "branch_name": "b"}
    with pytest.raises(errors.InvalidSettings, match="hooks"):
        ImplementParameters(**parameters).claude_code_options(options)
    with_settings = ImplementParameters(**parameters, claude_settings={"language": "de"})
    assert with_settings.claude_code_options(options).claude_settings == {"language": "de"}


ORG = "https://github.com/your-org/*"


def with_secrets(values: dict[str, Any], **fields: Any) -> ClaudeCode:  # noqa: ANN401 (fields of a block)
    return ClaudeCode(agent_environment=SecretDict(values), **fields)


def test_secrets_for_the_agent_are_not_shown() -> None:
    block = with_secrets({"NPM_TOKEN": "hush-hush"}, repositories=[ORG])
    assert "hush-hush" not in repr(block) + str(block) + repr(block.agent_variables())
    assert block.agent_variables() == {"NPM_TOKEN": SecretStr("hush-hush")}
    assert "agent_environment.*" in ClaudeCode.model_json_schema()["secret_fields"]
    assert ClaudeCode().agent_variables() == {}
    with pytest.raises(ValidationError) as raised:
        ClaudeCode(agent_environment="hush-hush")
    assert "hush-hush" not in str(raised.value)


def test_a_block_with_secrets_for_the_agent_lists_its_repositories() -> None:
    with pytest.raises(errors.InvalidBlock, match="does not list the repositories"):
        with_secrets({"NPM_TOKEN": "hush-hush"})
    assert with_secrets({}).repositories is None


SERVERS: dict[str, Any] = {"words": {"command": "words", "env": {"KEY": "hush-hush"}}}


def test_mcp_servers_are_not_shown_and_need_a_list_of_repositories() -> None:
    block = ClaudeCode(mcp_servers=SecretDict(SERVERS), repositories=[ORG])
    assert "hush-hush" not in repr(block) + str(block)
    assert block.servers() == {"words": {"type": "stdio", **SERVERS["words"]}}
    assert block.agent_secrets() == {"KEY of the server words of mcp_servers": SecretStr("hush-hush")}
    assert "mcp_servers.*" in ClaudeCode.model_json_schema()["secret_fields"]
    with pytest.raises(errors.InvalidBlock, match="has mcp_servers, but does not list the repositories"):
        ClaudeCode(mcp_servers=SecretDict({"words": {"command": "words"}}))
    with pytest.raises(errors.InvalidBlock, match="has its API key in mcp_servers too"):
        ClaudeCode(mcp_servers=SecretDict(SERVERS), repositories=[ORG], api_key=SecretStr("hush-hush"))
    with pytest.raises(errors.InvalidBlock, match="mcp_servers: the server words has neither command nor url"):
        ClaudeCode(mcp_servers=SecretDict({"words": {"cmd": "x"}}), repositories=[ORG])


@pytest.mark.parametrize(
    "entries", [[], [""], ["*"], ["https://*/your-org/x"], ["https://github.com"], ["github.com/your-org/*"],
                ["https://git*.com/your-org/*"], ["https://github.com/**/x"], ["ssh://github.com/your-org/*"],
                ["https://user@github.com/your-org/*"], ["https://github.com:*/your-org/*"], [ORG, "x"]],
    ids=str,
)  # fmt: skip
def test_a_malformed_list_of_repositories_is_refused(entries: list[str]) -> None:
    for values in ({}, {"NPM_TOKEN": "hush-hush"}):
        with pytest.raises(errors.InvalidBlock, match=r"the Claude Code block: .*repositories"):
            with_secrets(values, repositories=entries)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/your-org/x",
        "https://github.com/your-org/x.git",
        "https://GitHub.com:443/your-org/x.git/",
        "https://github.com/%79our-org/x",
    ],
)
def test_a_block_is_for_its_repositories(url: str) -> None:
    with_secrets({"NPM_TOKEN": "hush-hush"}, repositories=[ORG]).check_repository(RepoUrl.parse(url))
    ClaudeCode().check_repository(RepoUrl.parse(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com.evil.example/your-org/x",
        "https://evil.example/github.com/your-org/x",
        "https://github.com-evil.example/your-org/x",
        "https://github.com:8443/your-org/x",
        "https://api.github.com/your-org/x",
        "https://github.com/your-org-evil/x",
        "https://github.com/Your-Org/x",
        "https://github.com/your-org",
        "https://github.com/your-org/x/y",
        "https://github.com/your-org%2Fx",
        "https://github.com/your-org/x%2Fy",
        "https://github.com/your-org/..;/evil",
        "https://github.com/./your-org/x",
        "https://github.com//your-org/x",
    ],
)
def test_a_block_is_for_no_repository_whose_address_looks_like_it(url: str) -> None:
    for values in ({}, {"NPM_TOKEN": "hush-hush"}):
        with pytest.raises(errors.BlockNotForRepository, match=r"only for repositories https://github.com/your-org/\*"):
            with_secrets(values, repositories=[ORG]).check_repository(RepoUrl.parse(url))


def test_the_api_key_of_a_block_is_not_handed_to_the_agent() -> None:
    with pytest.raises(errors.InvalidBlock, match="API key") as raised:
        with_secrets({"KEY": "hush-hush"}, repositories=[ORG], api_key=SecretStr("hush-hush"))
    assert "hush" not in str(raised.value)


def test_make_blocks_registers_the_types(stack: LocalStack) -> None:
    command = [sys.executable, "-m", "prefect", "block", "register", "--module", "blocks"]
    completed_process = subprocess.run(
        command, cwd=Path(__file__).parents[2], check=False, capture_output=True, text=True
    )
    assert completed_process.returncode == 0, completed_process.stdout + completed_process.stderr
    types = httpx.post(f"{stack.prefect_api_url}/block_types/filter", json={}).json()
    assert {"claude-code", "git-credentials"} <= {row["slug"] for row in types}


def allowed(credentials: Resolved, url: str) -> bool:
    try:
        credentials.check_repository(RepoUrl.parse(url))
    except errors.RepositoryNotAllowed:
        return False
    return True


def test_a_block_restricts_its_token_to_repositories() -> None:
    block = GitCredentials(token=SecretStr("t"), email="a@b.c", repositories=["https://github.com/your-org/*"])
    resolved = block.resolve("us-east-1")
    assert resolved.is_bound
    assert allowed(resolved, "https://github.com/your-org/x.git")
    assert not allowed(resolved, "https://github.com/other/x.git")
    assert not GitCredentials(token=SecretStr("t"), email="a@b.c").resolve("us-east-1").is_bound


def test_a_block_and_its_aws_secret_both_have_to_allow_a_repository(secret: Any) -> None:  # noqa: ANN401
    block = secret(json.dumps({"token": "t", "email": "a@b.c", "hosts": ["github.com", "gitlab.com"]}))
    assert block.resolve("us-east-1").is_bound
    block.repositories = ["https://github.com/your-org/*", "https://git.example.com/x"]
    resolved = block.resolve("us-east-1")
    assert allowed(resolved, "https://github.com/your-org/x")
    for url in ("https://gitlab.com/your-org/x", "https://git.example.com/x", "https://github.com/other/x"):
        assert not allowed(resolved, url)


def test_a_block_restricts_the_token_of_an_unrestricted_secret(secret: Any) -> None:  # noqa: ANN401
    block = secret('{"token": "t", "email": "a@b.c"}')
    assert not block.resolve("us-east-1").is_bound
    block.hosts = ["github.com"]
    assert not allowed(block.resolve("us-east-1"), "https://evil.example/x")


@pytest.mark.parametrize("fields", [{"hosts": []}, {"hosts": [""]}, {"repositories": []}, {"repositories": ["*"]}])
def test_a_block_with_a_malformed_list_is_refused(secret: Any, fields: dict[str, list[str]]) -> None:  # noqa: ANN401
    with pytest.raises(errors.InvalidGitSecret):
        GitCredentials(token=SecretStr("t"), email="a@b.c", **fields).resolve("us-east-1")
    of_secret = secret('{"token": "t", "email": "a@b.c"}').model_copy(update=fields)
    with pytest.raises(errors.InvalidGitSecret):
        of_secret.resolve("us-east-1")


@pytest.mark.parametrize("hosts", ["github.com", {"github.com": 1}, [1], [None]])
def test_a_stored_block_whose_hosts_are_not_a_list_of_strings_is_refused(stack: LocalStack, hosts: object) -> None:
    GitCredentials(token=SecretStr("hush-hush"), email="a@b.c", hosts=["github.com"]).save("malformed", overwrite=True)
    name = f"{stack.prefect_api_url}/block_types/slug/git-credentials/block_documents/name/malformed"
    document = httpx.get(name, params={"include_secrets": True}).json()
    data = {**document["data"], "hosts": hosts}
    changed = {"data": data, "merge_existing_data": False}
    with get_client(sync_client=True) as client:  # it tries again if SQLite is busy
        client.request("PATCH", "/block_documents/{id}", path_params={"id": document["id"]}, json=changed)
    with pytest.raises(errors.InvalidGitSecret) as raised:
        load_git_credentials("malformed").resolve("us-east-1")
    assert "hush-hush" not in str(raised.value)

"""The secrets in `agent_environment`: the agent has them, nothing outside the agent shows them, and none is pushed."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.types import SecretDict

from blocks import ClaudeCode
from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import AWS_SECRET_ACCESS_KEY, GIT_TOKEN
from flows import errors
from flows.deliver import deliver
from flows.redaction import SECRETS
from flows.run.setup import load_claude_code
from tests.support.prefect_workers import flush
from tests.support.runs import Run
from tests.support.sightings import holders, sampled_argv, seen_in
from tests.support.world import World

TOKEN = f"local-npm-token-{uuid4().hex[:8]}"
DATABASE_URL = f"postgres://tester:p%40ss{uuid4().hex[:8]}@db.example.com/it's?a=1&b=<2>"
PRINT = (
    'env; cat /proc/self/environ; printf %s $NPM_TOKEN | base64; printf %s $NPM_TOKEN | xxd -p; echo "$DATABASE_URL"; '
    'python3 -c \'import json, os, urllib.parse as u; v = os.environ["DATABASE_URL"]; '
    'print(json.dumps(dict(os.environ)), repr(v), u.quote(v, safe=""))\''
)


@pytest.fixture
def block(world: World) -> str:
    """The name of a block with two secrets for the agent, for this test's repository only."""
    variables = SecretDict({"NPM_TOKEN": TOKEN, "DATABASE_URL": DATABASE_URL})
    ClaudeCode(agent_environment=variables, repositories=[world.repo_url]).save(world.name)
    return world.name


def test_the_agent_has_its_secrets_and_nothing_outside_the_agent_shows_them(
    world: World,
    run: Callable[..., Run],
    block: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    world.script(
        Turn("I print all.", (Tool("Bash", {"command": PRINT}),)),
        Turn(f"I have {TOKEN}.", (Tool("Bash", {"command": "sleep 3; echo ${#NPM_TOKEN} > length.txt"}),)),
        Turn(f"Done with {TOKEN} and {DATABASE_URL}."),
    )
    caplog.set_level("DEBUG")
    with sampled_argv() as argv:
        flow_run = run(claude_code_block=block, limits={"checkpoint_seconds": 1})
    flush()
    delivery = flow_run.delivered()
    assert world.content(delivery.branch, "length.txt") == str(len(TOKEN))
    assert TOKEN.encode() in world.stack.model.requests[1].body, "the agent did not print its environment"
    output = capfd.readouterr()
    everything = (caplog.text + output.out + output.err + repr(flow_run.state) + flow_run.artifact()).encode()
    assert world.name.encode() in everything
    assert seen_in(everything + b"\0".join(argv), [TOKEN, DATABASE_URL]) == []
    saved_files = list(flow_run.saved_file("").rglob("*"))
    assert {"change.bundle", "checkpoint-0", "transcript.html", "report.md"} <= {path.name for path in saved_files}
    assert b"NPM_TOKEN" in gzip.decompress(flow_run.saved_file("transcript.jsonl.gz").read_bytes())
    assert holders(saved_files, [TOKEN, DATABASE_URL]) == []
    assert delivery.summary == "Done with *** and ***."
    pushed = world.git("archive", delivery.branch).encode("utf-8", "surrogateescape")
    assert seen_in(pushed, [TOKEN, DATABASE_URL]) == []


def test_the_database_holds_a_secret_only_in_its_block_which_prefect_encrypts(
    world: World, run: Callable[..., Run], block: str
) -> None:
    world.script(Turn(f"I have {TOKEN}.", (Tool("Bash", {"command": PRINT}),)), Turn(f"Done with {TOKEN}."))
    run(claude_code_block=block)
    flush()
    assert holders((world.stack.home / "prefect-server").rglob("*.db*"), [TOKEN, DATABASE_URL]) == []
    document = f"{world.stack.prefect_api_url}/block_types/slug/claude-code/block_documents/name/{block}"
    assert httpx.get(document).json()["data"]["agent_environment"] == {
        "NPM_TOKEN": "********",
        "DATABASE_URL": "********",
    }


def deliver_change(run: Run) -> BaseException | None:
    call: Callable[..., Any] = deliver
    result = call(flow_run_id=run.id, return_state=True).result(raise_on_failure=False)
    return result if isinstance(result, BaseException) else None


@pytest.mark.parametrize(
    "command",
    [
        "echo //npm.example.com/:_authToken=$NPM_TOKEN > .npmrc",
        "echo $NPM_TOKEN | base64 > a.txt",
        "touch $NPM_TOKEN.txt",
    ],
    ids=["plain", "base64", "file-name"],
)
def test_a_change_that_contains_a_secret_is_saved_but_not_pushed_also_later(
    world: World, run: Callable[..., Run], block: str, command: str
) -> None:
    world.shell(command)
    stopped = run(claude_code_block=block, branch_name="the-branch")
    assert type(stopped.error) is errors.CredentialExposed
    assert "contains NPM_TOKEN of agent_environment of this run: have the agent read it" in str(stopped.error)
    assert "renew" not in str(stopped.error)
    assert TOKEN not in str(stopped.error)
    assert stopped.saved_file("change.bundle").stat().st_size
    assert world.branches() == {"main"}
    with SECRETS.run_scope():  # a later process does not know what this one learned
        pass
    assert type(deliver_change(stopped)) is errors.CredentialExposed
    ClaudeCode.delete(block)
    assert type(deliver_change(stopped)) is errors.BlockNotFound
    assert world.branches() == {"main"}


def test_a_run_on_another_repository_is_refused_before_anything_is_spent(
    world: World, run: Callable[..., Run], block: str
) -> None:
    other = world.stack.git.copy(f"{world.name}-2", str(world.stack.git.root / f"{world.name}.git"))
    refused = run(repo_url=other, claude_code_block=block)
    assert type(refused.error) is errors.BlockNotForRepository
    assert f"only for repositories {world.repo_url}" in str(refused.error)
    assert world.stack.model.requests == []
    assert world.stack.git.requests == []


@pytest.mark.parametrize(
    "value", [f"https://bot:{GIT_TOKEN}@git.example.com/", AWS_SECRET_ACCESS_KEY], ids=["git", "aws"]
)
def test_a_credential_of_the_flows_process_is_not_handed_to_the_agent(
    world: World, run: Callable[..., Run], value: str
) -> None:
    ClaudeCode(agent_environment=SecretDict({"TOKEN": value}), repositories=[world.repo_url]).save(world.name)
    refused = run(claude_code_block=world.name)
    assert type(refused.error) is errors.InvalidBlock
    assert "the agent must not get" in str(refused.error)
    assert world.stack.model.requests == []


@pytest.mark.parametrize(
    "data",
    [
        {"repositories": None},
        {"repositories": []},
        {"repositories": "https://github.com/your-org/*"},
        {"agent_environment": {"LD_PRELOAD": "hush-hush"}},
        {"agent_environment": {"TOKEN": "hush"}},
        {"agent_environment": "hush-hush"},
        {"agent_environment": ["hush-hush"]},
    ],
    ids=json.dumps,
)
def test_a_stored_block_that_no_run_can_use_is_refused_when_it_is_loaded(
    world: World, block: str, data: dict[str, Any]
) -> None:
    url = f"{world.stack.prefect_api_url}/block_types/slug/claude-code/block_documents/name/{block}"
    document = httpx.get(url, params={"include_secrets": True}).json()
    changed = {"data": {**document["data"], **data}, "merge_existing_data": False}
    url = f"{world.stack.prefect_api_url}/block_documents/{document['id']}"
    httpx.patch(url, json=changed).raise_for_status()
    with pytest.raises(errors.InvalidBlock) as raised:
        load_claude_code(block)
    assert "hush" not in str(raised.value)

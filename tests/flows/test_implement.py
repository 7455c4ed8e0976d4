"""The complete flow: the real claude binary, real git over HTTP with a token, a real Prefect server, moto as AWS."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.local.scripted_model import Turn
from deployments.local.stack import API_KEY, BUCKET, GIT_EMAIL, GIT_TOKEN
from flows.parameters.provider import DEFAULT_MODEL_IDS
from tests.support.runs import Run, run_flow, steps_started
from tests.support.world import World


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_one_instruction_file_becomes_a_new_branch(
    world: World, run: Callable[..., Run], provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    uri = world.instructions() + "main.md"
    flow_run = run(instructions_s3_uri=uri, provider=provider)
    delivery = flow_run.delivered()
    messages = "\n".join(steps_started(caplog))
    for step in (
        "git: counting",
        "1 file, main file: main.md",
        "writes hello.txt (1 line)",
        "says: Done.",
        "pushed ",
    ):
        assert step in messages
    assert flow_run.state.name == "Completed"
    assert delivery.branch.startswith("feature/claude-implementation-")
    assert delivery.branch.endswith(flow_run.id[-8:])
    assert world.content(delivery.branch, "hello.txt") == "hello"
    assert world.git("rev-parse", delivery.branch) == delivery.commit
    assert world.git("rev-parse", f"{delivery.branch}~1") == world.git("rev-parse", "main")
    model = DEFAULT_MODEL_IDS["bedrock" if provider == "bedrock" else "anthropic"]
    requests = world.stack.model.requests
    assert len(requests) == 2
    assert all(model in (request.path + request.body.decode()) for request in requests)


def test_the_commit_has_the_bots_identity_and_the_runs_message(world: World, run: Callable[..., Run]) -> None:
    flow_run = run(commit_message="Greet\n\nAt length.")
    commit = world.git("show", "--no-patch", "--format=%an|%ae|%cn|%ce|%B", flow_run.delivered().commit)
    identity, _, message = commit.rpartition("|")
    assert identity == f"claude-bot|{GIT_EMAIL}|claude-bot|{GIT_EMAIL}"
    assert message.strip() == f"Greet\n\nAt length.\n\nPrefect-Flow-Run: {flow_run.id}"


@pytest.mark.parametrize("suffix", ["*", ""])
def test_a_folder_of_instructions_keeps_its_structure(world: World, run: Callable[..., Run], suffix: str) -> None:
    uri = world.instructions(
        {
            "main.md": b"Read `api-spec.yaml`",
            "api-spec.yaml": b"openapi: 3.1.0\n",
            "examples/a/one.json": b"{}",
            "examples/": b"",
        }
    )
    world.shell("cd {instructions} && find . -type f | sort > {cwd}/seen.txt && cat api-spec.yaml >> {cwd}/seen.txt")
    delivery = run(instructions_s3_uri=uri + suffix).delivered()
    lines = world.content(delivery.branch, "seen.txt").splitlines()
    assert lines == ["./api-spec.yaml", "./examples/a/one.json", "./main.md", "openapi: 3.1.0"]
    assert delivery.files == ("seen.txt",)


def test_the_prompt_names_the_main_file_and_lists_the_others(world: World, run: Callable[..., Run]) -> None:
    uri = world.instructions({"main.md": b"Do as `api-spec.yaml` says", "api-spec.yaml": b"x: 1\n"})
    run(instructions_s3_uri=uri).delivered()
    messages = json.dumps(json.loads(world.stack.model.requests[0].body)["messages"])
    assert "Do as `api-spec.yaml` says" in messages
    assert "- api-spec.yaml: /" in messages


def test_the_report_names_the_versions_of_the_instructions(world: World, run: Callable[..., Run]) -> None:
    uri = world.instructions() + "main.md"
    head = world.stack.s3().head_object(Bucket=BUCKET, Key=f"{world.name}/main.md")
    report = run(instructions_s3_uri=uri).artifact()
    assert head["VersionId"] in report
    assert "+hello" in report
    assert "Done." in report


def test_an_existing_branch_is_continued(world: World, run: Callable[..., Run]) -> None:
    first = run(branch_name="feature/x").delivered()
    world.shell("cat hello.txt hello.txt > twice.txt")
    second = run(branch_name="feature/x").delivered()
    assert world.git("rev-parse", "feature/x") == second.commit
    assert world.git("rev-parse", "feature/x~1") == first.commit
    assert world.content("feature/x", "twice.txt") == "hello\nhello"


def test_a_new_branch_starts_from_the_base_branch(world: World, run: Callable[..., Run]) -> None:
    base = run(branch_name="release").delivered()
    world.shell("cp hello.txt again.txt")
    delivery = run(base_branch="release", branch_name="fix").delivered()
    assert world.git("rev-parse", f"{delivery.commit}~1") == base.commit


def test_the_agent_finds_the_repositorys_main_branch_and_is_told_no_other(
    world: World, run: Callable[..., Run]
) -> None:
    world.git("branch", "release", "main")
    world.shell("git diff --stat origin/main... && git log main.. && git rev-parse origin/HEAD > {cwd}/head.txt")
    delivery = run(base_branch="release", branch_name="fix").delivered()
    assert "Main branch" not in world.stack.model.requests[0].body.decode()
    assert world.content(delivery.branch, "head.txt") == world.git("rev-parse", "main")


def test_the_work_may_start_from_a_tag(world: World, run: Callable[..., Run]) -> None:
    first = world.git("rev-parse", "main")
    world.git("tag", "v1", first)
    run(branch_name="main", allow_default_branch=True).delivered()
    world.shell("git describe --tags > {cwd}/version.txt")
    flow_run = run(base_branch="v1", branch_name="fix")
    assert world.git("rev-parse", f"{flow_run.delivered().commit}~1") == first
    assert world.content("fix", "version.txt") == "v1"
    assert "`v1` at" in flow_run.artifact()


def test_a_run_without_a_change_is_completed_and_pushes_nothing(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn("It is all there already."))
    flow_run = run()
    assert flow_run.state.is_completed()
    assert flow_run.state.name == "NoChanges"
    assert flow_run.delivered().commit == ""
    assert world.branches() == {"main"}


def test_ignored_files_are_not_part_of_the_change(make_world: Callable[[dict[str, str]], World]) -> None:
    world = make_world({".gitignore": "*.log\n"})
    world.shell("echo x > a.log")
    flow_run = run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Log")
    assert flow_run.state.name == "NoChanges"


def test_the_agents_own_commits_become_one_commit(world: World, run: Callable[..., Run]) -> None:
    world.shell(
        "git checkout -q -b mine; echo 1 > a; git add a; git commit -qm one; echo 2 > b; git add b; git commit -qm two"
    )
    delivery = run().delivered()
    assert set(delivery.files) == {"a", "b"}
    assert world.git("rev-parse", f"{delivery.commit}~1") == world.git("rev-parse", "main")
    assert world.branches() == {"main", delivery.branch}


def test_unusual_names_modes_and_bytes_are_pushed_unchanged(world: World, run: Callable[..., Run]) -> None:
    world.shell(r"""printf 'a\r\nb\r\n' > crlf.txt; printf x > $'new\nline'; printf x > ./-rf; printf x > é;
      printf x > $'\xff'; printf '#!/bin/sh\n' > run.sh; chmod +x run.sh; ln -s README.md link""")
    delivery = run().delivered()
    listing = world.git("ls-tree", "-r", "-z", delivery.commit)
    rows = {row.partition("\t")[2]: row.split()[0] for row in listing.split("\0") if row}
    assert rows["run.sh"] == "100755"
    assert rows["link"] == "120000"
    assert {"new\nline", "-rf", "é", "\udcff"} <= rows.keys()
    assert world.git("cat-file", "-s", f"{delivery.commit}:crlf.txt") == "6"


def test_the_repositorys_instructions_to_agents_reach_the_model(world: World, run: Callable[..., Run]) -> None:
    run().delivered()
    body = json.loads(world.stack.model.requests[0].body)
    assert "Prefer short names." in json.dumps(body["messages"])
    assert "Prefer short names." not in json.dumps(body["system"])


def test_the_secret_can_be_named_by_its_arn(world: World, run: Callable[..., Run]) -> None:
    secret = json.dumps({"token": GIT_TOKEN, "email": "arn@example.com"})
    arn = world.stack.put_secret(secret, f"by/arn/{world.name}")
    commit = run(git_credentials_secret_id=arn).delivered().commit
    assert world.git("show", "--no-patch", "--format=%ae", commit) == "arn@example.com"


def test_the_complete_transcript_is_saved(run: Callable[..., Run]) -> None:
    lines = gzip.decompress(run().saved_file("transcript.jsonl.gz").read_bytes()).splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds[-1] == "result"
    assert {"system", "assistant", "user"} <= set(kinds)


def test_the_run_is_named_by_repository_and_branch(world: World, run: Callable[..., Run]) -> None:
    import httpx  # noqa: PLC0415

    flow_run = run(branch_name="feature/named")
    row = httpx.get(f"{world.stack.prefect_api_url}/flow_runs/{flow_run.id}").json()
    assert row["name"] == f"{world.name} @ feature/named"


def test_blocks_provide_credentials_and_options(world: World, run: Callable[..., Run]) -> None:
    from pydantic import SecretStr  # noqa: PLC0415

    from blocks import ClaudeCode, GitCredentials  # noqa: PLC0415

    GitCredentials(token=SecretStr(GIT_TOKEN), email="block@example.com").save("of-test", overwrite=True)
    ClaudeCode(
        provider="anthropic", api_key=SecretStr(API_KEY), claude_settings={"permissions": {"deny": ["Write"]}}
    ).save("of-test", overwrite=True)
    flow_run = run(git_credentials_block="of-test", claude_code_block="of-test", git_credentials_secret_id="none/such")
    assert flow_run.state.name == "NoChanges"
    assert {request.path.partition("?")[0] for request in world.stack.model.requests} == {"/v1/messages"}
    tools = {tool["name"] for tool in json.loads(world.stack.model.requests[0].body)["tools"]}
    assert "Bash" in tools
    assert "Write" not in tools


def test_hooks_in_the_repositorys_settings_are_not_run(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path
) -> None:
    mark = tmp_path / "hook-ran"
    hook = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": f"touch {mark}"}]}]}}
    settings = {**hook, "env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}
    world = make_world({".claude/settings.json": json.dumps(settings), "a": "a\n"})
    tmp_path.chmod(0o777)
    run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Say hello").delivered()
    assert not mark.exists()

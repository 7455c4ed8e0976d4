"""The whole flow: the real claude binary, real git over HTTP with a token, a real Prefect server, AWS by moto."""

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
def test_new_branch_from_a_single_file(
    world: World, run: Callable[..., Run], provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    uri = world.instructions() + "main.md"
    done = run(instructions_s3_uri=uri, provider=provider)
    delivery = done.delivered()
    said = "\n".join(steps_started(caplog))
    for step in (
        "git: counting",
        "1 file, begins with main.md",
        "writes hello.txt (1 line)",
        "says: Done.",
        "pushed ",
    ):
        assert step in said
    assert done.state.name == "Completed"
    assert delivery.branch.startswith("feature/claude-implementation-")
    assert delivery.branch.endswith(done.id[-8:])
    assert world.content(delivery.branch, "hello.txt") == "hello"
    assert world.git("rev-parse", delivery.branch) == delivery.commit
    assert world.git("rev-parse", f"{delivery.branch}~1") == world.git("rev-parse", "main")
    model = DEFAULT_MODEL_IDS["bedrock" if provider == "bedrock" else "anthropic"]
    asked = world.stack.model.asked
    assert len(asked) == 2
    assert all(model in (request.path + request.body.decode()) for request in asked)


def test_the_commit_is_ours(world: World, run: Callable[..., Run]) -> None:
    done = run(commit_message="Greet\n\nAt length.")
    shown = world.git("show", "--no-patch", "--format=%an|%ae|%cn|%ce|%B", done.delivered().commit)
    who, _, message = shown.rpartition("|")
    assert who == f"claude-bot|{GIT_EMAIL}|claude-bot|{GIT_EMAIL}"
    assert message.strip() == f"Greet\n\nAt length.\n\nPrefect-Flow-Run: {done.id}"


@pytest.mark.parametrize("ending", ["*", ""])
def test_a_folder_of_instructions_keeps_its_structure(world: World, run: Callable[..., Run], ending: str) -> None:
    uri = world.instructions(
        {
            "main.md": b"Read `api-spec.yaml`",
            "api-spec.yaml": b"openapi: 3.1.0\n",
            "examples/a/one.json": b"{}",
            "examples/": b"",
        }
    )
    world.shell("cd {instructions} && find . -type f | sort > {cwd}/seen.txt && cat api-spec.yaml >> {cwd}/seen.txt")
    delivery = run(instructions_s3_uri=uri + ending).delivered()
    seen = world.content(delivery.branch, "seen.txt").splitlines()
    assert seen == ["./api-spec.yaml", "./examples/a/one.json", "./main.md", "openapi: 3.1.0"]
    assert delivery.files == ("seen.txt",)


def test_the_prompt_names_the_main_file_and_lists_the_others(world: World, run: Callable[..., Run]) -> None:
    uri = world.instructions({"main.md": b"Do as `api-spec.yaml` says", "api-spec.yaml": b"x: 1\n"})
    run(instructions_s3_uri=uri).delivered()
    said = json.dumps(json.loads(world.stack.model.asked[0].body)["messages"])
    assert "Do as `api-spec.yaml` says" in said
    assert "- api-spec.yaml: /" in said


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


def test_nothing_to_change_is_said_and_nothing_is_pushed(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn("It is all there already."))
    done = run()
    assert done.state.is_completed()
    assert done.state.name == "NoChanges"
    assert done.delivered().commit == ""
    assert world.branches() == {"main"}


def test_ignored_files_are_no_change(make_world: Callable[[dict[str, str]], World]) -> None:
    world = make_world({".gitignore": "*.log\n"})
    world.shell("echo x > a.log")
    done = run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Log")
    assert done.state.name == "NoChanges"


def test_what_the_agent_commits_itself_becomes_one_commit_of_ours(world: World, run: Callable[..., Run]) -> None:
    world.shell(
        "git checkout -q -b mine; echo 1 > a; git add a; git commit -qm one; echo 2 > b; git add b; git commit -qm two"
    )
    delivery = run().delivered()
    assert set(delivery.files) == {"a", "b"}
    assert world.git("rev-parse", f"{delivery.commit}~1") == world.git("rev-parse", "main")
    assert world.branches() == {"main", delivery.branch}


def test_odd_names_modes_and_bytes_survive(world: World, run: Callable[..., Run]) -> None:
    world.shell(r"""printf 'a\r\nb\r\n' > crlf.txt; printf x > $'new\nline'; printf x > ./-rf; printf x > é;
      printf x > $'\xff'; printf '#!/bin/sh\n' > run.sh; chmod +x run.sh; ln -s README.md link""")
    delivery = run().delivered()
    listing = world.git("ls-tree", "-r", "-z", delivery.commit)
    rows = {row.partition("\t")[2]: row.split()[0] for row in listing.split("\0") if row}
    assert rows["run.sh"] == "100755"
    assert rows["link"] == "120000"
    assert {"new\nline", "-rf", "é", "\udcff"} <= rows.keys()
    assert world.git("cat-file", "-s", f"{delivery.commit}:crlf.txt") == "6"


def test_the_repositorys_word_to_agents_reaches_the_model(world: World, run: Callable[..., Run]) -> None:
    run().delivered()
    assert "Prefer short names." in json.dumps(json.loads(world.stack.model.asked[0].body)["system"])


def test_the_secret_may_be_named_by_its_arn(world: World, run: Callable[..., Run]) -> None:
    secret = json.dumps({"token": GIT_TOKEN, "email": "arn@example.com"})
    arn = world.stack.put_secret(secret, f"by/arn/{world.name}")
    commit = run(git_credentials_secret_id=arn).delivered().commit
    assert world.git("show", "--no-patch", "--format=%ae", commit) == "arn@example.com"


def test_the_transcript_is_kept_whole(run: Callable[..., Run]) -> None:
    lines = gzip.decompress(run().saved_file("transcript.jsonl.gz").read_bytes()).splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds[-1] == "result"
    assert {"system", "assistant", "user"} <= set(kinds)


def test_the_run_is_named_by_repository_and_branch(world: World, run: Callable[..., Run]) -> None:
    import httpx  # noqa: PLC0415

    done = run(branch_name="feature/named")
    row = httpx.get(f"{world.stack.prefect_api_url}/flow_runs/{done.id}").json()
    assert row["name"] == f"{world.name} @ feature/named"


def test_blocks_give_credentials_and_options(world: World, run: Callable[..., Run]) -> None:
    from pydantic import SecretStr  # noqa: PLC0415

    from blocks import ClaudeCode, GitCredentials  # noqa: PLC0415

    GitCredentials(token=SecretStr(GIT_TOKEN), email="block@example.com").save("of-test", overwrite=True)
    ClaudeCode(
        provider="anthropic", api_key=SecretStr(API_KEY), claude_settings={"permissions": {"deny": ["Write"]}}
    ).save("of-test", overwrite=True)
    done = run(git_credentials_block="of-test", claude_code_block="of-test", git_credentials_secret_id="none/such")
    assert done.state.name == "NoChanges"
    assert {request.path.partition("?")[0] for request in world.stack.model.asked} == {"/v1/messages"}
    tools = {tool["name"] for tool in json.loads(world.stack.model.asked[0].body)["tools"]}
    assert "Bash" in tools
    assert "Write" not in tools


def test_a_project_setting_of_the_repository_starts_nothing(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path
) -> None:
    mark = tmp_path / "hook-ran"
    hook = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": f"touch {mark}"}]}]}}
    settings = {**hook, "env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}
    world = make_world({".claude/settings.json": json.dumps(settings), "a": "a\n"})
    tmp_path.chmod(0o777)
    run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Say hello").delivered()
    assert not mark.exists()

"""The whole flow: the real claude binary, real git over HTTP with a token, a real Prefect server, AWS by moto."""

import gzip
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from deployments.local.git_remote import GitFault
from deployments.local.scripted_model import ModelFault, Tool, Turn
from deployments.local.stack import API_KEY, BUCKET, GIT_EMAIL, GIT_TOKEN
from flows import errors
from flows.parameters import DEFAULT_MODEL_IDS
from tests.conftest import World
from tests.runs import Run, run_flow


@pytest.fixture
def run(world: World) -> Callable[..., Run]:
    """Run the flow on the test's repository, with one instruction file where the test names none."""

    def call(**parameters: Any) -> Run:  # noqa: ANN401 (the flow's own)
        if not {"instructions", "instructions_s3_uri"} & parameters.keys():
            parameters["instructions"] = "Say hello in hello.txt"
        return run_flow(world.stack.prefect_api_url, **{"repo_url": world.repo_url, **parameters})

    return call


def kept(run: Run, name: str) -> Path:
    return Path(str(PREFECT_LOCAL_STORAGE_PATH.value())) / "claude-code-headless" / run.id / name


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_new_branch_from_a_single_file(
    world: World, run: Callable[..., Run], provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    uri = world.instructions() + "main.md"
    done = run(instructions_s3_uri=uri, provider=provider)
    delivery = done.delivered()
    assert len(steps_started(caplog)) >= 5
    assert done.state.name == "Completed"
    assert delivery.branch.startswith("feature/claude-implementation-")
    assert delivery.branch.endswith(done.id[:8])
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


def test_ignored_files_are_no_change(world: World, run: Callable[..., Run]) -> None:
    world.shell("mkdir -p .git/info; echo '*.log' >> .git/info/exclude; echo x > a.log")
    assert run().state.name == "NoChanges"


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


def test_the_repositorys_word_to_agents_reaches_the_model(world: World, run: Callable[..., Run]) -> None:
    run().delivered()
    assert "Prefer short names." in json.dumps(json.loads(world.stack.model.asked[0].body)["system"])


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


def steps_started(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "prefect.task_runs"]


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


def test_the_secret_may_be_named_by_its_arn(world: World, run: Callable[..., Run]) -> None:
    secret = json.dumps({"token": GIT_TOKEN, "email": "arn@example.com"})
    arn = world.stack.put_secret(secret, f"by/arn/{world.name}")
    commit = run(git_credentials_secret_id=arn).delivered().commit
    assert world.git("show", "--no-patch", "--format=%ae", commit) == "arn@example.com"


def test_missing_instructions_stop_the_run_before_the_agent(world: World, run: Callable[..., Run]) -> None:
    refused = run(instructions_s3_uri=f"s3://{BUCKET}/none-such.md")
    assert isinstance(refused.error, errors.InstructionsNotFound)
    assert refused.run_count("instructions") == 1
    assert not world.stack.model.asked


def test_a_clone_that_breaks_off_is_tried_again(world: World, run: Callable[..., Run]) -> None:
    world.stack.git.faults.extend([GitFault("/git-upload-pack"), GitFault("/git-upload-pack", 503)])
    done = run()
    done.delivered()
    assert done.run_count("clone") >= 2


def test_a_push_that_fails_for_a_while_never_runs_the_agent_again(world: World, run: Callable[..., Run]) -> None:
    world.stack.git.faults.append(GitFault("/git-receive-pack", 503))
    done = run()
    delivery = done.delivered()
    assert done.run_count("push") == 2
    assert done.run_count("claude") == 1
    assert len(world.stack.model.asked) == 2
    assert world.git("rev-parse", delivery.branch) == delivery.commit


def test_an_overloaded_model_is_waited_for(world: World, run: Callable[..., Run]) -> None:
    world.script().faults.append(ModelFault(529))
    done = run()
    done.delivered()
    assert done.run_count("claude") == 1
    assert len(world.stack.model.asked) == 3


def test_an_agent_that_is_killed_is_resumed_in_its_session(world: World, run: Callable[..., Run]) -> None:
    once = Turn("First.", (Tool("Bash", {"command": "echo once >> count.txt"}),))
    world.script(once, Turn("Second.", seconds=1.5))

    def kill_in_the_second_turn() -> None:
        while len(world.stack.model.asked) < 2:
            time.sleep(0.01)
        [agent] = [p for p in psutil.Process().children() if p.name() == "claude"]
        agent.kill()

    thread = threading.Thread(target=kill_in_the_second_turn)
    thread.start()
    done = run()
    thread.join()
    delivery = done.delivered()
    assert done.run_count("claude") == 2
    assert len(world.stack.model.asked) == 3
    assert world.content(delivery.branch, "count.txt") == "once"


def test_a_push_that_the_remote_refuses_keeps_the_change(world: World, run: Callable[..., Run]) -> None:
    hook = world.stack.git.root / f"{world.name}.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'the sun does not shine' >&2\nexit 1\n")
    hook.chmod(0o755)
    refused = run(branch_name="feature/y")
    assert isinstance(refused.error, errors.PushRejected)
    assert "the sun does not shine" in str(refused.error)
    assert refused.run_count("push") == 1
    bundle = kept(refused, "change.bundle")
    world.git("fetch", "--quiet", str(bundle), "feature/y:kept")
    assert world.content("kept", "hello.txt") == "hello"


def test_a_branch_that_moved_is_never_overwritten(world: World, run: Callable[..., Run]) -> None:
    first = run(branch_name="feature/z").delivered()
    tree = world.git("rev-parse", "main^{tree}")
    world.script(Turn("Slowly.", (Tool("Bash", {"command": "echo 2 > two"}),), seconds=1.5), Turn("Done."))

    def move() -> None:
        while not world.stack.model.asked:
            time.sleep(0.01)
        identity = ["-c", "user.name=o", "-c", "user.email=o@o"]
        world.git(
            "update-ref",
            "refs/heads/feature/z",
            world.git(*identity, "commit-tree", tree, "-p", first.commit, "-m", "o"),
        )

    thread = threading.Thread(target=move)
    thread.start()
    refused = run(branch_name="feature/z")
    thread.join()
    assert isinstance(refused.error, errors.BranchConflict)
    assert "change.bundle" in str(refused.error)
    assert world.git("log", "-1", "--format=%an", "feature/z") == "o"


def test_limits_end_the_run_by_name_and_keep_the_work(world: World, run: Callable[..., Run]) -> None:
    world.script(*(Turn("On.", (Tool("Bash", {"command": f"echo {i} > f{i}"}),)) for i in range(5)))
    refused = run(limits={"max_turns": 2})
    assert isinstance(refused.error, errors.TurnLimitReached)
    assert kept(refused, "change.bundle").exists()
    assert world.branches() == {"main"}


def test_an_agent_that_works_too_long_is_ended(world: World, run: Callable[..., Run]) -> None:
    world.shell("echo begun > begun.txt; sleep 100")
    started = time.monotonic()
    refused = run(limits={"agent_timeout_seconds": 4})
    assert isinstance(refused.error, errors.AgentTimeout)
    assert time.monotonic() - started < 30
    assert kept(refused, "change.bundle").exists()


def test_what_the_agent_leaves_running_is_ended(world: World, run: Callable[..., Run]) -> None:
    world.shell("setsid nohup sh -c 'sleep 300' >/dev/null 2>&1 & echo $! > pid.txt")
    delivery = run().delivered()
    pid = world.content(delivery.branch, "pid.txt")
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_a_work_tree_without_its_repository_is_named(world: World, run: Callable[..., Run]) -> None:
    world.shell('python3 -c \'import shutil; shutil.rmtree(".g" + "it")\'')
    assert isinstance(run().error, errors.AgentRepoInvalid)


def test_an_agent_that_was_denied_its_tools_has_not_found_nothing_to_do(run: Callable[..., Run]) -> None:
    refused = run(claude_settings={"permissions": {"defaultMode": "plan"}})
    assert isinstance(refused.error, errors.AgentDenied)
    assert "Write" in str(refused.error)


def test_the_transcript_is_kept_whole(run: Callable[..., Run]) -> None:
    lines = gzip.decompress(kept(run(), "transcript.jsonl.gz").read_bytes()).splitlines()
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

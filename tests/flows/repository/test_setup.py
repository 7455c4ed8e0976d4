"""The setup command in a real work tree: what it makes and changes, how it fails, and what is left for the change."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.errors import SetupFailed
from flows.parameters.addresses import RepoUrl
from flows.repository import snapshot
from flows.repository.agent_git import git_as_agent
from flows.repository.clone import Checkout, clone
from flows.repository.collect import Change, CommitIdentity, collect
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import run_git
from flows.repository.remote import Remote
from flows.repository.setup import SetupCommand, run_setup
from flows.sandbox.shell import run_script, shell_environment
from flows.sandbox.workspace import Workspace, workspace

IDENTITY = CommitIdentity("bot@example.com", datetime(2026, 11, 23, 12, tzinfo=UTC), "Implement\n")


class Setup:
    """A work tree in which setup commands and commands of the agent run."""

    def __init__(self, directories: Workspace, checkout: Checkout) -> None:
        self.workspace = directories
        self.checkout = checkout
        self.log: list[str] = []

    def __call__(self, script: str, timeout_seconds: float = 60) -> tuple[str, ...]:
        """Run a setup command; return the files that were put back."""
        command = SetupCommand(script, "a test")
        environment = shell_environment(self.workspace.agent_variables, os.environ)
        return run_setup(self.workspace, self.checkout, command, environment, timeout_seconds, self.log.append)

    def failed(self, script: str, timeout_seconds: float = 60) -> str:
        """Run a setup command that must fail; return the message."""
        with pytest.raises(SetupFailed) as raised:
            self(script, timeout_seconds)
        return str(raised.value)

    def agent(self, script: str) -> None:
        """Run commands as the agent does after the setup."""
        environment = shell_environment(self.workspace.agent_variables, os.environ)
        result = run_script(self.workspace, script, environment, timeout_seconds=60, on_output=lambda _: None)
        assert result.status == 0

    def change(self) -> Change:
        return collect(self.workspace, self.checkout, IDENTITY)

    def read(self, path: str) -> str:
        return (self.workspace.work_tree / path).read_text()


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    seed = tmp_path / "seed"
    (seed / "dir").mkdir(parents=True)
    (tmp_path / "served").mkdir()
    (seed / "a.txt").write_text("a\n")
    (seed / "dir" / "b.txt").write_text("b\n")
    (seed / "run.sh").write_text("true\n")
    (seed / ".gitignore").write_text("*.log\nbuild/\n")
    with GitRemote(tmp_path / "served", "token") as server, workspace() as directories:
        server.create("r", seed)
        url = RepoUrl.parse(f"{server.url}/r.git")
        remote = Remote(url, GitCredentials(SecretStr("token"), "bot@example.com", "u"), directories.trusted)
        options = {"branch": "new", "base_branch": "", "depth": 50, "allow_default_branch": False}
        yield Setup(directories, clone(directories, remote, progress=RemoteProgress(), **options))  # type: ignore[arg-type]


def files(change: Change) -> set[str]:
    return {file.path for file in change.files}


def test_new_files_are_there_for_the_agent_and_no_part_of_the_change(setup: Setup) -> None:
    script = (
        "mkdir made; for i in $(seq 5000); do echo $i > made/$i.txt; done; echo x > $'odd\\nname'; echo l > made.log"
    )
    assert setup(script) == ()
    assert setup.read("made/5000.txt") == "5000\n"
    assert setup.change() == Change("", setup.checkout)
    setup.agent("echo hello > hello.txt; mkdir build; echo ignored > build/new")
    change = setup.change()
    assert files(change) == {"hello.txt"}
    assert [work.paths for work in change.left_aside] == [("build/new",)]


def test_what_the_agent_does_with_the_setups_files_is_part_of_the_change(setup: Setup) -> None:
    setup("echo 1 > changed; echo 1 > removed; echo 1 > moved; echo 1 > committed; echo 1 > program")
    identity = "git config user.email a@b; git config user.name a; "
    setup.agent(f"{identity}echo 2 > changed; rm removed; mv moved elsewhere; git add committed; git commit -qm x; "
                "chmod +x program")  # fmt: skip
    change = setup.change()
    assert files(change) == {"changed", "elsewhere", "program"}
    assert change.notes == (
        "'changed', 'program': made by the setup command and changed by the agent, so part of the change",
    )


def test_build_folders_of_the_setup_are_not_reported_and_those_of_the_agent_are(setup: Setup) -> None:
    setup("mkdir -p .venv/bin node_modules/a; touch .venv/pyvenv.cfg .venv/bin/python node_modules/a/x")
    setup.agent("mkdir -p web/node_modules/b; touch web/node_modules/b/x .venv/bin/pytest; echo new > web/new.txt")
    change = setup.change()
    assert [file.path for file in change.files] == ["web/new.txt"]
    [note] = change.notes
    assert note.startswith("'web/node_modules/': left out of the change")


def test_the_repositorys_files_are_put_back(setup: Setup) -> None:
    script = "echo 2 > a.txt; rm -r dir; echo x > dir; chmod +x run.sh; rm .gitignore; ln -s /etc/passwd .gitignore"
    assert setup(script) == (".gitignore", "a.txt", "dir/b.txt", "run.sh")
    assert [setup.read(path) for path in ("a.txt", "dir/b.txt", ".gitignore")] == ["a\n", "b\n", "*.log\nbuild/\n"]
    assert git_as_agent(setup.workspace, "status", "--porcelain").text == ""
    assert setup.change().commit == ""
    setup.agent("echo 2 > a.txt")
    assert files(setup.change()) == {"a.txt"}


def test_commits_and_branches_of_the_setup_are_not_the_agents_work(setup: Setup) -> None:
    identity = "git config user.email a@b; git config user.name a; "
    setup(f"{identity}echo 1 > new; git add new; git commit -qm 1; git tag v1; git checkout -qb other; echo 2 > new; "
          "git commit -qam 2; git init -q nested; echo 1 > nested/f; git -C nested add f")  # fmt: skip
    assert git_as_agent(setup.workspace, "rev-parse", "HEAD").text == setup.checkout.base_commit
    assert git_as_agent(setup.workspace, "branch", "--show-current").text == "new"
    change = setup.change()
    assert (change.commit, change.left_aside, change.notes) == ("", (), ())
    setup.agent("git checkout -qb mine; git add new; echo 3 > mine.txt; git add mine.txt; git commit -qm 3; "
                "git checkout -q new")  # fmt: skip
    change = setup.change()
    assert files(change) == {"mine.txt"}
    assert change.notes == ("the work tree was unchanged, so the change is the work in the branch mine",)


def test_a_checkpoint_holds_the_agents_work_only_and_is_restored_on_another_setup(setup: Setup) -> None:
    setup("echo 1 > made; echo 1 > changed")
    base = setup.checkout.base_commit
    assert snapshot.take(setup.workspace, base) == base
    setup.agent("echo 2 > changed; echo 2 > a.txt")
    commit = snapshot.take(setup.workspace, base)
    names = run_git(["diff", "--name-only", base, commit], git_dir=setup.workspace.clean_git).text
    assert names.splitlines() == ["a.txt", "changed"]
    bundle = snapshot.bundle(setup.workspace, base)
    setup.agent("git checkout -q a.txt; rm -f made changed")
    setup("echo 1 > made; echo 1 > changed")
    snapshot.restore(setup.workspace, bundle, commit, base)
    assert [setup.read(path) for path in ("made", "changed", "a.txt")] == ["1\n", "2\n", "2\n"]
    assert files(setup.change()) == {"a.txt", "changed"}


def test_the_first_command_that_fails_ends_the_setup_and_is_shown(setup: Setup) -> None:
    message = setup.failed("echo first >&2; sh -c 'exit 3'; echo second")
    assert "the setup command, from a test, ended with exit status 3" in message
    assert "The agent was not started" in message
    assert message.endswith("Its last lines:\nfirst")
    assert setup.log == ["first"]
    assert "ended by signal 9" in (message := setup.failed("kill -9 $$"))
    assert "It printed nothing" in message
    assert "filled the disk" in setup.failed("echo 'cannot write: No space left on device'; exit 1")


@pytest.mark.parametrize("script", ["echo begin; sleep 600", "echo begin; exec >&- 2>&-; sleep 600", "yes begin"])
def test_a_setup_that_hangs_is_ended_at_its_limit(setup: Setup, script: str) -> None:
    message = setup.failed(script, timeout_seconds=2)
    assert "did not end within 2 seconds: raise limits.setup_timeout_seconds" in message
    assert message.rstrip().endswith("begin")
    assert setup.workspace.agent.processes() == []


def test_processes_that_the_setup_leaves_behind_are_ended(setup: Setup) -> None:
    setup("(while :; do echo forked >> later.txt; sleep .05; done) & setsid sleep 600 & sleep .3; echo done")
    assert setup.workspace.agent.processes() == []
    size = (setup.workspace.work_tree / "later.txt").stat().st_size
    time.sleep(0.3)
    assert (setup.workspace.work_tree / "later.txt").stat().st_size == size
    assert setup.log == ["done"]


def test_a_setup_that_destroys_the_repository_fails(setup: Setup) -> None:
    assert "left a work tree that git cannot read" in setup.failed("rm -rf .git")


def test_a_setup_that_succeeds_reads_no_input_and_has_the_agents_environment(setup: Setup) -> None:
    setup('cat; echo "$HOME"; pwd; echo "$CI"; test -z "$(env | grep -i -e anthropic -e aws_ -e prefect)"')
    assert setup.log == [str(setup.workspace.home), str(setup.workspace.work_tree), "true"]

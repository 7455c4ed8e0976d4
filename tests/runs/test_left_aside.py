"""Work beside the change, through the whole flow: what the state, the report and the event say, and what is saved."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.local.scripted_model import Tool, Turn
from flows import errors
from flows.deliver import deliver
from tests.support.runs import Run
from tests.support.world import World

COMMIT = "echo w > w.txt && git add w.txt && git commit -qm w"


def test_work_on_a_branch_of_the_agents_own_is_delivered(world: World, run: Callable[..., Run]) -> None:
    world.shell(f"git checkout -q -b mine && {COMMIT} && git checkout -q -")
    delivered = run(branch_name="the-branch")
    assert delivered.delivered().files == ("w.txt",)
    assert world.content("the-branch", "w.txt") == "w"
    assert "the change is the work in the branch mine" in delivered.artifact()


def test_work_in_two_places_is_saved_and_the_advised_commands_fetch_it(
    world: World, run: Callable[..., Run], tmp_path: Path
) -> None:
    world.shell(
        f"git checkout -q -b one && {COMMIT} && git checkout -q - && echo v > v.txt && git add . && git stash -q"
    )
    stopped = run(branch_name="the-branch")
    assert isinstance(stopped.error, errors.WorkLeftAside)
    assert world.branches() == {"main"}
    commands = re.findall(r"git fetch <that file> (\S+) fetches (the [^;]+?)(?=;| \(the model|$)", str(stopped.error))
    assert {place for _, place in commands} == {"the branch one", "the stash entry 0"}
    report = stopped.artifact()
    for number, (branch, place) in enumerate(commands):
        clone = tmp_path / str(number)
        source = world.stack.git.root / f"{world.name}.git"
        subprocess.run(["git", "clone", "-q", str(source), str(clone)], check=True)
        fetch = ["git", "-C", str(clone), "fetch", "-q", str(stopped.saved_file("change.bundle")), branch]
        subprocess.run(fetch, check=True)
        show = ["git", "-C", str(clone), "diff", "--name-only", "main", "FETCH_HEAD"]
        names = subprocess.run(show, check=True, capture_output=True, text=True).stdout.split()
        assert names == (["w.txt"] if place == "the branch one" else ["v.txt"])
    assert "WorkLeftAside" in report
    state = deliver(flow_run_id=stopped.id, return_state=True)
    error = state.result(raise_on_failure=False)
    assert isinstance(error, errors.NoSavedChange), "there is no change that could be pushed without a choice"


def test_an_ignored_result_is_named_in_state_and_report(
    make_world: Callable[[dict[str, str]], World], run: Callable[..., Run]
) -> None:
    world = make_world({".gitignore": "build/\n", "README.md": "x\n"})
    world.shell("mkdir build && echo r > build/report.md")
    finished = run(repo_url=world.repo_url)
    assert finished.delivered().outcome == "no-changes"
    assert "New files that the repository ignores: build/report.md" in str(finished.state.message)
    report = finished.artifact()
    assert "`build/report.md`" in report
    assert f"git fetch {finished.saved_file('change.bundle')} left-aside/ignored" in report


def test_a_repository_inside_is_delivered_as_files_with_a_warning(world: World, run: Callable[..., Run]) -> None:
    world.shell("git init -q app && echo x > app/main.py && cd app && git add .")
    delivered = run(branch_name="scaffold")
    assert delivered.delivered().files == ("app/main.py",)
    assert "a repository inside the repository" in delivered.artifact()


@pytest.mark.parametrize("path", ["CLAUDE.local.md", "sub/CLAUDE.local.md", ".aider.conf.yml"])
def test_local_settings_of_agents_are_left_out_with_a_warning(world: World, run: Callable[..., Run], path: str) -> None:
    world.shell(f"mkdir -p sub && echo x > {path} && echo w > w.txt")
    delivered = run(branch_name="local")
    assert delivered.delivered().files == ("w.txt",)
    assert "policy.leave" in delivered.artifact()


def test_a_pattern_of_ones_own_leaves_a_changed_file_as_it_was(world: World, run: Callable[..., Run]) -> None:
    world.script(
        Turn("I write.", (Tool("Bash", {"command": "echo changed > README.md; echo x > notes.tmp; echo w > w.txt"}),)),
        Turn("Done."),
    )
    delivered = run(branch_name="own", policy={"leave_out": ["README.md", "*.tmp"]})
    assert delivered.delivered().files == ("w.txt",)
    assert world.content("own", "README.md") == "# A repository"

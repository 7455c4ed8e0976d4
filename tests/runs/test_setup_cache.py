"""The setup's cache in whole runs: what a run saved before its agent started, the setup of the next run finds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from deployments.local.stack import LocalStack
from flows import errors
from tests.runs.test_setup import FILE, commit_file
from tests.support.flows_command import start
from tests.support.own_disk import own_disk
from tests.support.runs import Run, run_flow
from tests.support.world import World

SETTINGS = """\
cache: [deps, ~/.cache/tool]
setup: |
  cat deps/state ~/.cache/tool/state > state.txt 2>/dev/null || echo cold > state.txt
  mkdir -p deps ~/.cache/tool; echo set-up > deps/state; echo set-up > ~/.cache/tool/state
"""
HOSTILE = """\
echo hostile > deps/state; echo hostile > ~/.cache/tool/state; mkdir -p ~/.cache/tool/.claude deps/.git
echo hostile > deps/hostile; cp state.txt copy.txt
"""


@pytest.fixture(autouse=True)
def disk(stack: LocalStack, tmp_path: Path) -> Iterator[Path]:
    del stack, tmp_path  # their own directories are elsewhere
    with own_disk() as path:
        yield path


@pytest.fixture
def world(make_world: Callable[[dict[str, str]], World]) -> World:
    return make_world({"README.md": "# A repository\n", "requirements.txt": "", FILE: SETTINGS})


def run_on(world: World, **parameters: object) -> Run:
    parameters = {"repo_url": world.repo_url, "instructions": "Say hello in hello.txt", **parameters}
    return run_flow(world.stack.prefect_api_url, **parameters)


def saved_caches() -> set[Path]:
    return set(Path(str(PREFECT_LOCAL_STORAGE_PATH.value())).glob("claude-code-headless/caches/*/*"))


def test_the_next_runs_setup_finds_the_files_as_they_were_before_the_agent_started(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = saved_caches()
    for expected, words in (("cold", "none is saved yet; saved ("), ("set-up\nset-up", "cache restored (")):
        world.shell(HOSTILE)
        flow_run = run_on(world)
        delivery = flow_run.delivered()
        assert world.content(delivery.branch, "copy.txt") == expected
        assert set(delivery.files) == {"copy.txt", "deps/state", "deps/hostile"}
        assert words in flow_run.artifact().replace("\\", "")
        assert "cache: " in caplog.text
    [archive] = {path for path in saved_caches() - before if path.name != "description.json"}
    archive.write_bytes(archive.read_bytes() + b"x")
    world.shell("cp state.txt copy.txt")
    flow_run = run_on(world)
    assert world.content(flow_run.delivered().branch, "copy.txt") == "cold"
    assert "missing or differs from what was saved; saved (" in flow_run.artifact().replace("\\", "")


def test_a_path_that_cannot_be_cached_ends_the_run_before_anything_is_spent(world: World) -> None:
    commit_file(world, "main", FILE, "setup: 'true'\ncache: [README.md]\n")
    stopped = run_on(world)
    assert type(stopped.error) is errors.InvalidRepositoryFile
    assert "'README.md', which is in the repository" in str(stopped.error)
    assert world.stack.model.requests == []


def test_the_command_uses_the_cache(world: World, disk: Path) -> None:
    lines = []
    for _ in range(2):
        process = start({"REPO_URL": world.repo_url, "TMPDIR": str(disk)}, options=("setup",))
        assert process.returncode == 0, process.stderr
        lines += [line for line in process.stderr.splitlines() if line.startswith("cache: ")]
    assert [line.partition("(")[0] for line in lines] == [
        "cache: not used: none is saved yet",
        "cache: saved ",
        "cache: restored ",
    ]

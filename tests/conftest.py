"""Fixtures of all tests: the local stack, a repository on it, a function that runs the flow, and leftover checks."""

from tests.support.environment import PREFECT_PORT, REAL_HOME, isolate, remove_home

isolate()  # before the imports below, which import Prefect

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import psutil
import pytest

from deployments.local.stack import LocalStack, local_stack
from flows.sandbox.user import MARK
from flows.sandbox.workspace import mark_of, workspace
from tests.support.prefect_workers import flush
from tests.support.world import World, new_world

if TYPE_CHECKING:
    from tests.support.runs import Run

_WATCHED = (".prefect", ".aws", ".gitconfig", ".config/git", ".git-credentials", ".claude.json")


def _modification_times() -> dict[str, float]:
    return {name: (REAL_HOME / name).stat().st_mtime for name in _WATCHED if (REAL_HOME / name).exists()}


# The duration of an example depends on the load of the machine. Each run of the suite tries other examples.
hypothesis.settings.register_profile("suite", deadline=None, max_examples=30)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(scope="session", autouse=True)
def untouched_home() -> Iterator[None]:
    """Fail if something wrote into the real home directory."""
    before = _modification_times()
    yield
    assert _modification_times() == before, "a test wrote into the real HOME"
    remove_home()


@pytest.fixture(scope="session", autouse=True)
def no_account_left(untouched_home: None) -> Iterator[None]:  # noqa: ARG001 (it ends first, while the directories exist)
    """Remove the accounts of runs that tests killed, as the next run on a machine does."""
    yield
    with workspace():
        pass


@pytest.fixture(autouse=True)
def nothing_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail if a process of one of this test's agents outlived its run, also if it has a new parent process."""
    own_folders = (Path(tempfile.gettempdir()), tmp_path_factory.getbasetemp())  # not those of other workers
    before = set(psutil.pids())
    yield
    leftovers = set(psutil.pids()) - before
    deadline = time.monotonic() + 5  # a run may be ending at this moment
    while leftovers := {pid for pid in leftovers if _outlived_its_run(pid, own_folders)}:
        assert time.monotonic() < deadline, leftovers
        time.sleep(0.2)


def _outlived_its_run(pid: int, folders: tuple[Path, ...]) -> bool:
    """Whether the process has the mark of a run in one of the folders that has ended, and so removed its directory."""
    try:
        process = psutil.Process(pid)
        path, *identity = process.environ().get(MARK, "").rsplit(":", 2)
        run = Path(path)
        if not any(map(run.is_relative_to, folders)) or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return not run.exists() or mark_of(run).rsplit(":", 2)[1:] != identity
    except (psutil.Error, OSError):
        return False


@pytest.fixture(scope="session")
def prefect_settings() -> dict[str, str]:
    """Additional settings of the stack's Prefect server; a folder of tests may override this fixture."""
    return {}


@pytest.fixture(scope="session")
def stack(prefect_settings: dict[str, str]) -> Iterator[LocalStack]:
    """The local stack, started once for each worker."""
    with local_stack(PREFECT_PORT, prefect_settings) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            if name != "PREFECT_HOME":
                patch.setenv(name, value)
        yield running
        flush()


@pytest.fixture
def world(make_world: Callable[[dict[str, str]], World]) -> World:
    """A repository with a first commit, on a stack that injects no faults."""
    return make_world({"README.md": "# A repository\n", "CLAUDE.md": "Prefer short names.\n"})


@pytest.fixture
def make_world(stack: LocalStack, tmp_path: Path) -> Iterator[Callable[[dict[str, str]], World]]:
    """A function that creates a repository with the given files."""
    yield lambda files: new_world(stack, tmp_path, files)
    stack.git.faults.clear()


@pytest.fixture
def run(world: World) -> "Callable[..., Run]":
    """A function that runs the flow on the test's repository, by default with a short instruction."""
    from tests.support.runs import run_flow  # noqa: PLC0415 (most tests do not need Prefect)

    def call(**parameters: Any) -> "Run":  # noqa: ANN401 (the flow's parameters)
        if not {"instructions", "instructions_s3_uri"} & parameters.keys():
            parameters["instructions"] = "Say hello in hello.txt"
        return run_flow(world.stack.prefect_api_url, **{"repo_url": world.repo_url, **parameters})

    return call

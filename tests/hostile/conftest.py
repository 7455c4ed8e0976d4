"""What a hostile run needs: markers that record who runs them, a second server that must stay unused, and a search."""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import LocalStack
from tests.support.attack import OTHER_SECRET, PREFECT_KEY, Attack, Markers, SecondServer
from tests.support.prefect_workers import flush
from tests.support.runs import run_flow
from tests.support.sightings import sampled_argv
from tests.support.world import World

_MARKER = """#!/bin/sh
exec 3> "{folder}/$1.$(/usr/bin/id -u).$$"
{{ /usr/bin/env; /bin/cat "/proc/$$/status"; /usr/bin/tr '\\0' ' ' < "/proc/$PPID/cmdline"; }} >&3 2>&1
exit 0
"""


def pytest_sessionstart() -> None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("setpriv"):
        raise pytest.UsageError(
            "the hostile suite tests the isolation between two users: run it as root on Linux, with util-linux"
        )


@pytest.fixture
def markers() -> Iterator[Markers]:
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    markers = Markers(folder)
    markers.program.parent.mkdir()
    markers.program.write_text(_MARKER.format(folder=folder))
    markers.program.chmod(0o755)
    folder.chmod(0o1777)
    markers.program.parent.chmod(0o755)
    yield markers
    shutil.rmtree(folder)


@pytest.fixture
def second_server() -> Iterator[SecondServer]:
    with SecondServer() as server:
        yield server


@pytest.fixture(autouse=True)
def secrets_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the flow's process secrets that a team's machine may have, in addition to the stack's."""
    monkeypatch.setenv("PREFECT_API_KEY", PREFECT_KEY)
    monkeypatch.setenv("DATABASE_PASSWORD", OTHER_SECRET)


@pytest.fixture
def make_repository(stack: LocalStack, tmp_path: Path) -> Callable[[Callable[[Path], None]], World]:
    """Return a function that serves a repository whose first commit is written by another function."""

    def make(write: Callable[[Path], None]) -> World:
        name = f"repo-{uuid.uuid4().hex[:8]}"
        seed = tmp_path / name
        seed.mkdir()
        (seed / "README.md").write_text("# A repository\n")
        write(seed)
        return World(stack, name, stack.git.create(name, seed))

    return make


@pytest.fixture
def run_attack(
    make_repository: Callable[[Callable[[Path], None]], World],
    markers: Markers,
    second_server: SecondServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Attack]:
    """Return a function that runs the whole flow on a hostile repository.

    Its agent takes the turns in `before`, if any, runs a hostile script, and then writes hello.txt.
    """

    def call(
        script: str = "",
        *,
        write: Callable[[Path], None] = lambda _: None,
        before: tuple[Turn, ...] = (),
        **parameters: Any,  # noqa: ANN401 (the flow's parameters)
    ) -> Attack:
        world = make_repository(write)
        command = f"{markers.script(script, second_server)}; echo hello > {{cwd}}/hello.txt"
        turns = world.script(*before, Turn("I run.", (Tool("Bash", {"command": command}),)), Turn("Done."))
        turns.instructions_hold = "Say hello"
        caplog.set_level("DEBUG")
        flow_parameters = {"repo_url": world.repo_url, "instructions": "Say hello", **parameters}
        with sampled_argv() as argv:
            run = run_flow(world.stack.prefect_api_url, **flow_parameters)
        flush()
        streams = capfd.readouterr()
        output = (caplog.text + streams.out + streams.err).encode("utf-8", "surrogateescape")
        return Attack(run, world, second_server, markers.seen(), b"\0".join(argv), output)

    return call

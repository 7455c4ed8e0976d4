"""What all tests stand on: a home of their own, and, for those that ask, the local stack and a way to run the flow."""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.prefect_server import free_port

REAL_HOME = Path.home()
_PREFECT_PORT = free_port()
_HOME = tempfile.TemporaryDirectory(prefix="claude-code-headless-tests-")
# Before Prefect is imported: it reads these once.
for name in [n for n in os.environ if n.startswith(("PREFECT_", "AWS_", "ANTHROPIC_", "CLAUDE_"))]:
    if name != "AWS_CA_BUNDLE":
        del os.environ[name]
os.environ.update(
    {
        "HOME": _HOME.name,
        "PREFECT_HOME": f"{_HOME.name}/.prefect",
        "PREFECT_API_URL": f"http://127.0.0.1:{_PREFECT_PORT}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
)

import psutil
import pytest

from deployments.local.scripted_model import Script, Tool, Turn
from deployments.local.stack import BUCKET, LocalStack, local_stack
from flows.sandbox.user import MARK
from tests.support.runs import Run

_TOUCHABLE = (".prefect", ".aws", ".gitconfig", ".config/git", ".git-credentials", ".claude.json")


def _seen() -> dict[str, float]:
    return {name: (REAL_HOME / name).stat().st_mtime for name in _TOUCHABLE if (REAL_HOME / name).exists()}


@pytest.fixture(scope="session", autouse=True)
def untouched_home() -> Iterator[None]:
    """Fail where something wrote into the real home directory."""
    before = _seen()
    yield
    assert _seen() == before, "the real HOME was touched"
    _HOME.cleanup()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail where a process of an agent of this test outlived its run, whoever its parent is by now."""
    began = time.time() - 1
    yield
    left = [process for process in psutil.process_iter() if _outlived_its_run(process, began)]
    assert not left


def _outlived_its_run(process: psutil.Process, began: float) -> bool:
    """Whether the process is marked as of a run whose directory, which is removed last, is gone."""
    try:
        run = Path(process.environ().get(MARK, ""))
        over = run.name.startswith("claude-code-headless-") and not run.exists()
        # In a container the same path is another place.
        ours = not (root := Path(f"/proc/{process.pid}/root")).exists() or root.samefile("/")
        return over and ours and process.create_time() > began and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


@pytest.fixture(scope="session")
def prefect_settings() -> dict[str, str]:
    """What is different about the stack's Prefect server; a folder of tests may have its own."""
    return {}


@pytest.fixture(scope="session")
def stack(prefect_settings: dict[str, str]) -> Iterator[LocalStack]:
    """The local stack, started once for each worker."""
    with local_stack(_PREFECT_PORT, prefect_settings) as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment().items():
            if name != "PREFECT_HOME":
                patch.setenv(name, value)
        yield made
        flush()


def flush() -> None:
    """Send what Prefect's threads still hold, while there is a server to send it to."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=10)


@dataclass
class World:
    """The stack, with a repository and instructions of one test's own."""

    stack: LocalStack
    name: str
    repo_url: str

    def instructions(self, files: dict[str, bytes] | None = None) -> str:
        """Upload files below this test's prefix; return the prefix's URI, with a slash at its end."""
        for path, content in (files or {"main.md": b"# Say hello\n"}).items():
            self.stack.s3().put_object(Bucket=BUCKET, Key=f"{self.name}/{path}", Body=content)
        return f"s3://{BUCKET}/{self.name}/"

    def script(self, *turns: Turn) -> Script:
        """Set what the model does: by default it writes a file."""
        hello = Turn("I write.", (Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"}),))
        self.stack.model.asked.clear()
        self.stack.git.asked.clear()
        self.stack.model.script = Script(turns or (hello, Turn("Done.")))
        return self.stack.model.script

    def shell(self, command: str) -> Script:
        """Let the model run one shell command."""
        return self.script(Turn("I run.", (Tool("Bash", {"command": command}),)), Turn("Done."))

    def git(self, *arguments: str) -> str:
        """Run git on this test's repository at the remote."""
        return self.stack.git.git(self.name, *arguments)

    def branches(self) -> set[str]:
        """Return the remote's branches."""
        return set(self.git("branch", "--format=%(refname:short)").splitlines())

    def content(self, branch: str, path: str) -> str:
        """Return a file of a branch at the remote."""
        return self.git("show", f"{branch}:{path}")


@pytest.fixture
def world(stack: LocalStack, tmp_path: Path) -> Iterator[World]:
    """A repository with a first commit, on a stack that is as new."""
    yield from _world(stack, tmp_path, {"README.md": "# A repository\n", "CLAUDE.md": "Prefer short names.\n"})


def _world(stack: LocalStack, tmp_path: Path, files: dict[str, str]) -> Iterator[World]:
    seed = tmp_path / "seed"
    for path, content in files.items():
        (seed / path).parent.mkdir(parents=True, exist_ok=True)
        (seed / path).write_text(content)
    name = f"repo-{uuid.uuid4().hex[:8]}"
    made = World(stack, name, stack.git.create(name, seed))
    made.script()
    yield made
    stack.git.faults.clear()


@pytest.fixture
def make_world(stack: LocalStack, tmp_path: Path) -> Callable[[dict[str, str]], World]:
    """A repository with the files that a test names."""
    return lambda files: next(_world(stack, tmp_path, files))


@pytest.fixture
def run(world: World) -> "Callable[..., Run]":
    """Run the flow on the test's repository, with one instruction file where the test names none."""
    from tests.support.runs import run_flow  # noqa: PLC0415 (Prefect reads its environment when it is imported)

    def call(**parameters: Any) -> Run:  # noqa: ANN401 (the flow's own)
        if not {"instructions", "instructions_s3_uri"} & parameters.keys():
            parameters["instructions"] = "Say hello in hello.txt"
        return run_flow(world.stack.prefect_api_url, **{"repo_url": world.repo_url, **parameters})

    return call

"""One run of twelve turns, the proxies between it and its servers, and its results."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from prefect.filesystems import LocalFileSystem

from deployments.local.scripted_model import Script, Tool, Turn
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from tests.durability.machines import FlowRun, Machine, create_flow_run, machine
from tests.durability.slow_store import SlowStore
from tests.support.fault_proxy import FaultProxy
from tests.support.world import World

TURNS: Final = 12
WORK: Final = {f"step-{n}" for n in range(1, TURNS)}
BRANCH: Final = "the-branch"
CHECKPOINT_SECONDS: Final = 1
INSTRUCTIONS: Final = {"main.md": b"# Take the steps\n", "more/detail.md": b"in detail\n" * 500}


def steps(seconds: float = 0.25, *, slow: int = 0, slow_seconds: float = 120) -> tuple[Turn, ...]:
    """Return eleven turns that create one file each and a final one without a tool; one turn may be slow."""
    waits = {n: slow_seconds if n == slow else seconds for n in range(1, TURNS + 1)}
    turns = [
        Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} > step-{n}"}),), waits[n]) for n in range(1, TURNS)
    ]
    return (*turns, Turn("Done.", seconds=waits[TURNS]))


@dataclass
class Scene:
    """A flow run, the proxies in front of its servers, and its run store, which outlives every machine."""

    world: World
    store: Path
    git: FaultProxy
    s3: FaultProxy
    model: FaultProxy
    run: FlowRun
    machines: list[Machine] = field(default_factory=list)

    @contextmanager
    def machine(
        self,
        command: tuple[str, ...] = (),
        variables: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        disk_mb: int = 0,
    ) -> Iterator[Machine]:
        """Start a machine that executes the run and reaches every server through its proxy."""
        proxy_variables = {
            "AWS_ENDPOINT_URL_S3": self.s3.url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.model.url,
            **(variables or {}),
        }
        with machine(self.run, self.store, command, proxy_variables, prefix, disk_mb) as new_machine:
            self.machines.append(new_machine)
            yield new_machine

    @contextmanager
    def machine_that_stops_writing(self, name: str) -> Iterator[Machine]:
        """Start a machine whose store blocks in the middle of writing the file of this name."""
        block = SlowStore(basepath=str(self.store), stops_in=f"/{name}")
        document = f"slow-{self.run.id}"
        block.save(document)
        slow = {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": f"slow-store/{document}"}
        with self.machine(("-m", "tests.durability.slow_store"), slow) as new_machine:
            yield new_machine

    def saved_file(self, name: str) -> Path:
        """Return the path of one of the run's saved files."""
        return self.store / "claude-code-headless" / self.run.id / name

    def saved_run(self) -> SavedRun:
        """Load the saved state that another machine would find."""
        saved = SavedRun(RunStore(LocalFileSystem(basepath=str(self.store)), self.run.id, ()))
        saved.load(logging.getLogger("test"))
        return saved

    @property
    def requested_turns(self) -> int:
        """How many replies the model has been asked for."""
        return len([request for request in self.world.stack.model.requests if "invoke" in request.path])

    def commits(self) -> list[str]:
        """Return the ids of this run's commits on the git server, on any branch."""
        return self.world.git("log", "--all", "--format=%H", f"--grep=Prefect-Flow-Run: {self.run.id}").splitlines()

    def is_delivered(self) -> bool:
        """Whether the branch has exactly one commit on top of its base, with the files of the work and no others."""
        if BRANCH not in self.world.branches():
            return False
        changed = set(self.world.git("diff", "--name-only", "main", BRANCH).splitlines())
        return self.commits() == self.world.git("rev-list", f"main..{BRANCH}").splitlines() and changed == WORK

    def reports(self) -> list[str]:
        """Return the titles of the run's reports, newest first."""
        of_this_run = {"flow_runs": {"id": {"any_": [self.run.id]}}, "artifacts": {"key": {"like_": "%-report"}}}
        url = f"{self.world.stack.prefect_api_url}/artifacts/filter"
        rows = httpx.post(url, json={**of_this_run, "sort": "CREATED_DESC"}).json()
        return [row["data"].partition("\n")[0].removeprefix("# ") for row in rows]

    def left_behind(self) -> list[str]:
        """Return everything that the machines left behind: processes, directories, files, socket names and locks."""
        claims = Path("/proc/net/unix").read_text()
        leftovers = [
            f"process {process}" for started_machine in self.machines for process in started_machine.processes()
        ]
        for uid in {uid for started_machine in self.machines for uid in started_machine.agent_uids}:
            leftovers += [f"process {process}" for process in psutil.process_iter() if _runs_as(process, uid)]
            leftovers += [f"claim of {uid}"] if f"claude-code-headless-uid-{uid}" in claims else []
            for shared in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108
                leftovers += [str(path) for path in Path(shared).iterdir() if _owner(path) == uid]
        for started_machine in self.machines:
            leftovers += [str(path) for path in started_machine.disk.glob("claude-code-headless-*")]
        repository = self.world.stack.git.root / f"{self.world.name}.git"
        return leftovers + [str(path) for path in repository.rglob("*.lock")]


def _runs_as(process: psutil.Process, uid: int) -> bool:
    try:
        return uid in process.uids() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _owner(path: Path) -> int:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return -1


@contextmanager
def scene(world: World, store: Path, **parameters: Any) -> Iterator[Scene]:  # noqa: ANN401 (the flow's parameters)
    """Set up a run without executing it."""
    world.stack.model.requests.clear()
    world.stack.model.script = Script(steps())
    stack = world.stack
    with FaultProxy(stack.git.url) as git, FaultProxy(stack.aws_url) as s3, FaultProxy(stack.model.url) as model:
        all_parameters = {
            "repo_url": world.repo_url.replace(stack.git.url, git.url),
            "instructions_s3_uri": world.instructions(INSTRUCTIONS) + "*",
            "branch_name": BRANCH,
            "limits": {"checkpoint_seconds": CHECKPOINT_SECONDS},
            **parameters,
        }
        yield Scene(world, store, git, s3, model, create_flow_run(all_parameters))


def table_row(**values: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Return a row of the tables that pytest prints at the end, as JSON."""
    return json.dumps(values)

"""One run of twelve turns, with what stands between it and its servers; and what became of it."""

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
    """Return eleven turns that make a file each, and a twelfth that says so; one of them may be slow to begin."""
    waits = {n: slow_seconds if n == slow else seconds for n in range(1, TURNS + 1)}
    made = [Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} > step-{n}"}),), waits[n]) for n in range(1, TURNS)]
    return (*made, Turn("Done.", seconds=waits[TURNS]))


@dataclass
class Scene:
    """A flow run, the proxies before its servers, and its run store, which outlives all machines."""

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
        """Start a machine that executes the run, with every server behind its proxy."""
        behind = {
            "AWS_ENDPOINT_URL_S3": self.s3.url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.model.url,
            **(variables or {}),
        }
        with machine(self.run, self.store, command, behind, prefix, disk_mb) as made:
            self.machines.append(made)
            yield made

    @contextmanager
    def machine_that_stops_writing(self, name: str) -> Iterator[Machine]:
        """Start one whose store stops in the middle of the run's file of that name."""
        block = SlowStore(basepath=str(self.store), stops_in=f"/{name}")
        document = f"slow-{self.run.id}"
        block.save(document)
        slow = {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": f"slow-store/{document}"}
        with self.machine(("-m", "tests.durability.slow_store"), slow) as made:
            yield made

    def saved_file(self, name: str) -> Path:
        """Return the path of one of the run's saved files."""
        return self.store / "claude-code-headless" / self.run.id / name

    def saved_run(self) -> SavedRun:
        """Return what another machine would find."""
        saved = SavedRun(RunStore(LocalFileSystem(basepath=str(self.store)), self.run.id, ()))
        saved.load(logging.getLogger("test"))
        return saved

    @property
    def turns_asked(self) -> int:
        """How many replies the model was asked for so far."""
        return len([asked for asked in self.world.stack.model.asked if "invoke" in asked.path])

    def commits(self) -> list[str]:
        """Return what the remote has of this run, on any branch."""
        return self.world.git("log", "--all", "--format=%H", f"--grep=Prefect-Flow-Run: {self.run.id}").splitlines()

    def is_delivered(self) -> bool:
        """Whether the branch has one commit more than its base, with the work and nothing else."""
        if BRANCH not in self.world.branches():
            return False
        changed = set(self.world.git("diff", "--name-only", "main", BRANCH).splitlines())
        return self.commits() == self.world.git("rev-list", f"main..{BRANCH}").splitlines() and changed == WORK

    def reports(self) -> list[str]:
        """Return the titles of the run's reports, the newest first."""
        mine = {"flow_runs": {"id": {"any_": [self.run.id]}}, "artifacts": {"key": {"like_": "%-report"}}}
        url = f"{self.world.stack.prefect_api_url}/artifacts/filter"
        rows = httpx.post(url, json={**mine, "sort": "CREATED_DESC"}).json()
        return [row["data"].partition("\n")[0].removeprefix("# ") for row in rows]

    def left_behind(self) -> list[str]:
        """Return what the machines left: processes, directories, files, names of sockets, locks."""
        claims = Path("/proc/net/unix").read_text()
        left = [f"process {process}" for made in self.machines for process in made.processes()]
        for uid in {uid for made in self.machines for uid in made.agent_uids}:
            left += [f"process {process}" for process in psutil.process_iter() if _is_of(process, uid)]
            left += [f"claim of {uid}"] if f"claude-code-headless-uid-{uid}" in claims else []
            for shared in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108
                left += [str(path) for path in Path(shared).iterdir() if _owner(path) == uid]
        for made in self.machines:
            left += [str(path) for path in made.disk.glob("claude-code-headless-*")]
        repository = self.world.stack.git.root / f"{self.world.name}.git"
        return left + [str(path) for path in repository.rglob("*.lock")]


def _is_of(process: psutil.Process, uid: int) -> bool:
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
def scene(world: World, store: Path, **parameters: Any) -> Iterator[Scene]:  # noqa: ANN401 (the flow's own)
    """Set up a run that nobody executes yet."""
    world.stack.model.asked.clear()
    world.stack.model.script = Script(steps())
    stack = world.stack
    with FaultProxy(stack.git.url) as git, FaultProxy(stack.aws_url) as s3, FaultProxy(stack.model.url) as model:
        given = {
            "repo_url": world.repo_url.replace(stack.git.url, git.url),
            "instructions_s3_uri": world.instructions(INSTRUCTIONS) + "*",
            "branch_name": BRANCH,
            "limits": {"checkpoint_seconds": CHECKPOINT_SECONDS},
            **parameters,
        }
        yield Scene(world, store, git, s3, model, create_flow_run(given))


def described(**values: Any) -> str:  # noqa: ANN401 (what JSON takes)
    """Return a row of the table that pytest prints at its end."""
    return json.dumps(values)

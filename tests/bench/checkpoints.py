"""What checkpoints cost a run on a large repository: time per checkpoint, bytes, and how much slower the agent gets.

Turns of a fixed length stand in for the agent: each waits as if for the model, and then does fixed work in the tree,
as a build or a test run would. Turns and interval are a fifth of those of a run with 20 s turns and a checkpoint
every 60 s, so a minute of measuring has as many checkpoints as five minutes of that run. The share refers to its 60 s.
"""

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import boto3
from prefect.filesystems import LocalFileSystem
from prefect.logging import disable_run_logger

from flows.agent.checkpoints import Checkpoints
from flows.agent.config_folder import new_config_folder
from flows.agent.session import Agent, _session_id
from flows.instructions.files import Instructions
from flows.model.providers import Bedrock
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.repository import clone
from flows.repository.clone import Checkout
from flows.repository.git_commands import isolated_environment, run_git
from flows.repository.work_tree import create_work_tree
from flows.sandbox.workspace import Workspace, workspace
from flows.state.records import Plan
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore

INTERVAL_SECONDS = 60
"""The default interval between the checkpoints of a run."""

RUN = "bench"
SESSION = _session_id(RUN)
_WORK = "cat src-0*/*.bin | sha256sum > /dev/null; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"


def repository(folder: Path, megabytes: int, files: int) -> Path:
    """Create a repository of this size, with content that cannot be compressed."""
    seed, block = folder / "seed", os.urandom(megabytes * 2**20 // files)
    for number in range(files):
        path = seed / f"src-{number % 200:03}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(8, "big") + block[8:])
    git_options = ["-c", "core.compression=0", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "gc.auto=0"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(seed), *git_options, *arguments], check=True)
    return seed


@contextmanager
def prepared(seed: Path) -> Iterator[tuple[Workspace, Plan]]:
    """Create an agent's work tree from the repository, as a run does after it has fetched."""
    with workspace() as run_workspace:
        subprocess.run(["git", "clone", "-q", "--bare", str(seed), str(run_workspace.clean_git)], check=True)
        base = run_git(["rev-parse", "main"], git_dir=run_workspace.clean_git).text
        clone._set_branch(run_workspace.clean_git, "new", base)
        create_work_tree(run_workspace, "https://example.com/a/b", "new", base)
        new_config_folder(run_workspace, SESSION, b"")
        instructions = Instructions("inline", (), "", "")
        yield (
            run_workspace,
            Plan("https://example.com/a/b", Checkout("new", "main", base, ""), instructions, datetime.now(UTC)),
        )


def checkpoints(run_workspace: Workspace, plan: Plan, store: Path, interval: float) -> Checkpoints:
    """Return the checkpoints of a run; with an interval of 0, none is written automatically."""
    provider = Bedrock(boto3.Session(), "us-east-1", DEFAULT_MODEL_IDS["bedrock"])
    agent = Agent(ClaudeCodeOptions(), provider, SESSION)
    agent._is_running = True  # `turn` plays its part
    saved = SavedRun(RunStore(LocalFileSystem(basepath=str(store)), RUN))
    return Checkpoints(run_workspace, saved, plan, agent, interval, logging.getLogger("bench"))


def turn(run_workspace: Workspace, number: int, wait_seconds: float) -> float:
    """Take one turn: wait for the model, then work in the tree; return how long the work took."""
    time.sleep(wait_seconds)
    entry = json.dumps({"turn": number, "text": "x" * 20_000})
    projects = run_workspace.claude_folder / "projects"
    edit = f"mkdir -p {projects}/p; echo '{entry}' >> {projects}/p/{SESSION}.jsonl; "
    edit += f"for n in 1 2 3; do head -c 20000 /dev/urandom > src-001/new-{number}-$n; done; {_WORK}"
    started = time.monotonic()
    variables = {**isolated_environment(run_workspace.agent_variables)}
    subprocess.run(run_workspace.agent.argv(["sh", "-c", edit]), cwd=run_workspace.work_tree, env=variables, check=True)
    return time.monotonic() - started


def print_single_checkpoints(writer: Checkpoints, run_workspace: Workspace) -> None:
    """Print what single checkpoints cost while nothing else runs."""
    rows = []
    for name, adds_files in (("first checkpoint", False), ("no new files", False), ("three new files", True)):
        if adds_files:
            turn(run_workspace, 0, 0)
        cpu, started = _children_cpu(), time.monotonic()
        writer._write()
        rows.append((name, time.monotonic() - started, _children_cpu() - cpu))
    for name, seconds, cpu in rows:
        print(f"  {name:<24} {seconds:6.2f} s, {cpu:5.2f} s of CPU")


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def take_turns(
    run_workspace: Workspace, writer: Checkpoints | None, options: argparse.Namespace
) -> tuple[float, float]:
    """Take all turns, with checkpoints or without; return the total seconds, and the mean seconds of work per turn."""
    started = time.monotonic()
    with writer or nullcontext():
        work_seconds = [turn(run_workspace, n, options.turn_seconds) for n in range(1, options.turns + 1)]
    return time.monotonic() - started, statistics.mean(work_seconds)


def main() -> int:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--turn-seconds", type=float, default=4)
    parser.add_argument("--interval", type=float, default=12)
    parser.add_argument("--ready", default="", help="wait for this file before measuring")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, disable_run_logger():
        print(f"a repository of {options.files} files, {options.megabytes} MB")
        with prepared(repository(Path(folder), options.megabytes, options.files)) as (run_workspace, plan):
            store = Path(folder) / "store"
            turn(run_workspace, 0, 0)  # this loads the files into memory
            print("prepared")
            while options.ready and not Path(options.ready).exists():
                time.sleep(0.2)
            print_single_checkpoints(checkpoints(run_workspace, plan, store, 0), run_workspace)
            without = take_turns(run_workspace, None, options)
            writer = checkpoints(run_workspace, plan, store, options.interval)
            beside = take_turns(run_workspace, writer, options)
            last = writer.saved.checkpoint
            count, size = (last.number + 1, len(last.bundle)) if last else (0, 0)
            print(
                f"  {options.turns} turns of {options.turn_seconds} s and work, a checkpoint every {options.interval} s"
            )
            print(f"  without checkpoints      {without[0]:6.2f} s, {without[1]:5.2f} s of work per turn")
            print(f"  with {count:2} checkpoints      {beside[0]:6.2f} s, {beside[1]:5.2f} s of work per turn")
            added = (beside[0] - without[0]) / max(count, 1)
            share = added / INTERVAL_SECONDS * 100
            print(f"  share of wall time       {share:6.2f} %: {added:.2f} s per {INTERVAL_SECONDS} s")
            print(f"  the last checkpoint      {size / 2**10:6.0f} KiB of change, {_stored(store)}")
    return 0


def _stored(store: Path) -> str:
    return ", ".join(f"{p.name} {p.stat().st_size / 2**10:.0f} KiB" for p in sorted(store.rglob("checkpoint-*")))


if __name__ == "__main__":
    sys.exit(main())

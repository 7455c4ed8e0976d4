"""What checkpoints cost a run on a large repository: time per look, bytes, and how much slower the agent gets.

The agent is stood in for by turns of a fixed length: so long a wait for the model, and then fixed work in the tree, as
a build or a test run would do it. Turns and interval are five times as short as those of a run with turns of 20 s and a
checkpoint every 60 s, so that a minute of measuring holds as many looks as five of that run; the share is of its 60 s.
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
from flows.agent.session import Agent, _session_id
from flows.instructions.files import Instructions
from flows.model.providers import Bedrock
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.parameters.request import ClaudeCodeOptions
from flows.repository import clone
from flows.repository.clone import Checkout
from flows.repository.git_commands import isolated_environment, run_git
from flows.repository.work_tree import cut_work_tree
from flows.sandbox.workspace import Workspace, workspace
from flows.state.records import Plan
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore

INTERVAL_SECONDS = 60
"""Between checkpoints, where a run says nothing else."""

RUN = "bench"
SESSION = _session_id(RUN)
_WORK = "cat src-0*/*.bin | sha256sum > /dev/null; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"


def repository(folder: Path, megabytes: int, files: int) -> Path:
    """Make a repository of that size, of content that does not compress."""
    seed, block = folder / "seed", os.urandom(megabytes * 2**20 // files)
    for number in range(files):
        path = seed / f"src-{number % 200:03}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(8, "big") + block[8:])
    ours = ["-c", "core.compression=0", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "gc.auto=0"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(seed), *ours, *arguments], check=True)
    return seed


@contextmanager
def prepared(seed: Path) -> Iterator[tuple[Workspace, Plan]]:
    """Cut an agent's work tree from it, as a run does once it has fetched."""
    with workspace() as place:
        subprocess.run(["git", "clone", "-q", "--bare", str(seed), str(place.clean_git)], check=True)
        base = run_git(["rev-parse", "main"], git_dir=place.clean_git).text
        clone._start_at(place.clean_git, "new", base)
        cut_work_tree(place, "https://example.com/a/b", "new", base)
        instructions = Instructions("inline", (), "", "")
        yield place, Plan("https://example.com/a/b", Checkout("new", "main", base, ""), instructions, datetime.now(UTC))


def checkpoints(place: Workspace, plan: Plan, store: Path, interval: float) -> Checkpoints:
    """Return those of a run; an interval of 0 writes none by itself."""
    provider = Bedrock(boto3.Session(), "us-east-1", DEFAULT_MODEL_IDS["bedrock"])
    agent = Agent(ClaudeCodeOptions(), provider, SESSION)
    saved = SavedRun(RunStore(LocalFileSystem(basepath=str(store)), RUN))
    return Checkpoints(place, saved, plan, agent, interval, logging.getLogger("bench"))


def turn(place: Workspace, number: int, wait_seconds: float) -> float:
    """Take one turn: wait for the model, then work in the tree; return how long the work took."""
    time.sleep(wait_seconds)
    said = json.dumps({"turn": number, "text": "x" * 20_000})
    edit = f'mkdir -p "$HOME/.claude/projects/p"; echo \'{said}\' >> "$HOME/.claude/projects/p/{SESSION}.jsonl"; '
    edit += f"for n in 1 2 3; do head -c 20000 /dev/urandom > src-001/new-{number}-$n; done; {_WORK}"
    begun = time.monotonic()
    variables = {**isolated_environment(place.agent_mark)}
    subprocess.run(place.agent.argv(["sh", "-c", edit]), cwd=place.work_tree, env=variables, check=True)
    return time.monotonic() - begun


def looks(made: Checkpoints, place: Workspace) -> None:
    """Print what single looks cost, with nothing else going on."""
    rows = []
    for name, change in (("the first look", False), ("nothing is new", False), ("three files are new", True)):
        if change:
            turn(place, 0, 0)
        cpu, begun = _children_cpu(), time.monotonic()
        made._write()
        rows.append((name, time.monotonic() - begun, _children_cpu() - cpu))
    for name, seconds, cpu in rows:
        print(f"  {name:<24} {seconds:6.2f} s, {cpu:5.2f} s of CPU")


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(place: Workspace, made: Checkpoints | None, options: argparse.Namespace) -> tuple[float, float]:
    """Take all turns, beside checkpoints or not; return the seconds of it all, and of the work of a turn."""
    begun = time.monotonic()
    with made or nullcontext():
        worked = [turn(place, n, options.turn_seconds) for n in range(1, options.turns + 1)]
    return time.monotonic() - begun, statistics.mean(worked)


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--turn-seconds", type=float, default=4)
    parser.add_argument("--interval", type=float, default=12)
    parser.add_argument("--ready", default="", help="Wait for this file before measuring.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, disable_run_logger():
        print(f"a repository of {options.files} files, {options.megabytes} MB")
        with prepared(repository(Path(folder), options.megabytes, options.files)) as (place, plan):
            store = Path(folder) / "store"
            turn(place, 0, 0)  # the files are in memory from here on
            print("prepared")
            while options.ready and not Path(options.ready).exists():
                time.sleep(0.2)
            looks(checkpoints(place, plan, store, 0), place)
            without = run(place, None, options)
            made = checkpoints(place, plan, store, options.interval)
            beside = run(place, made, options)
            last = made.saved.checkpoint
            count, size = (last.number + 1, len(last.bundle)) if last else (0, 0)
            print(f"  {options.turns} turns of {options.turn_seconds} s and work, a look every {options.interval} s")
            print(f"  without checkpoints      {without[0]:6.2f} s, {without[1]:5.2f} s of work a turn")
            print(f"  beside {count:2} checkpoints    {beside[0]:6.2f} s, {beside[1]:5.2f} s of work a turn")
            added = (beside[0] - without[0]) / max(count, 1)
            share = added / INTERVAL_SECONDS * 100
            print(f"  share of wall time       {share:6.2f} %: {added:.2f} s a checkpoint, one in {INTERVAL_SECONDS} s")
            print(f"  the last checkpoint      {size / 2**10:6.0f} KiB of change, {_stored(store)}")
    return 0


def _stored(store: Path) -> str:
    return ", ".join(f"{p.name} {p.stat().st_size / 2**10:.0f} KiB" for p in sorted(store.rglob("checkpoint-*")))


if __name__ == "__main__":
    sys.exit(main())

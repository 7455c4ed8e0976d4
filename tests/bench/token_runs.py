"""The runs of row 12. The scripted model reports the tokens that a simulation of the provider's cache counts."""

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deployments.local.scripted_model import Script, Tool, Turn
from deployments.local.stack import BUCKET
from flows.state.files import FOLDER
from tests.bench.measures import Measure
from tests.bench.region import JOB
from tests.bench.sides import PROJECT, Job, Sides
from tests.bench.tokens import FEATURES, Recording, Recordings, measures
from tests.support.prompt_cache import PromptCache

_TURNS: Final = 12
_AWAY_SECONDS: Final = 240
"""How long the interrupted run waits for another machine. The cache lives for 300 s."""
_TIMEOUT_SECONDS: Final = 600
_REPOSITORIES: Final = {
    "tokens-a": {"README.md": "# A repository\n"},
    "tokens-b": {
        "README.md": "# Another one\n",
        "CLAUDE.md": "Prefer short names. Run `make test`.\n",
        "a.py": "A = 1\n",
    },
}


@dataclass
class _Clock:
    """A clock that stands still until it is put forward, so that the figures do not depend on this machine."""

    seconds: float = 0

    def __call__(self) -> float:
        return self.seconds


def tokens(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 12: what is sent to the model, what of it the provider's cache holds, and what it costs."""
    del count
    yield from measures(record(sides))


def record(sides: Sides) -> Recordings:
    """Make all runs of the row."""
    first, second = (_job(sides, name) for name in _REPOSITORIES)
    with _counted(sides) as cache:
        sides.plain(first)
        plain = Recording(cache.requests, _instructions("tokens-a"))
    with _counted(sides) as cache:
        ours = _recorded(sides, cache, first)
        other_repository = _recorded(sides, cache, second)
    features = {}
    for name, parameters in FEATURES.items():
        with _counted(sides) as cache:
            features[name] = _recorded(sides, cache, first, **parameters)
    clock = _Clock()
    with _counted(sides, clock) as cache:
        resumed = _resumed(sides, cache, clock, first)
    clock = _Clock()
    with _counted(sides, clock) as cache:
        followed_up = _followed_up(sides, cache, clock, first)
    return Recordings(plain, ours, other_repository, resumed, followed_up, features)


def _job(sides: Sides, name: str) -> Job:
    with tempfile.TemporaryDirectory() as seed:
        for path, content in _REPOSITORIES[name].items():
            (Path(seed) / path).write_text(content)
        url = sides.region.git.create(name, Path(seed))
    sides.region.stack.s3().put_object(Bucket=BUCKET, Key=f"{name}/main.md", Body=_instructions(name).encode())
    return Job(url, f"s3://{BUCKET}/{name}/*")


def _instructions(name: str) -> str:
    return f"# Write hello.txt\n\nSay hello to {name} in it.\n"


@contextmanager
def _counted(sides: Sides, clock: _Clock | None = None) -> Iterator[PromptCache]:
    """Let the scripted model count tokens with an empty cache."""
    cache = PromptCache(clock or _Clock())
    sides.region.stack.model.count_tokens = cache.receive
    try:
        yield cache
    finally:
        sides.region.stack.model.count_tokens = None


def _recorded(
    sides: Sides,
    cache: PromptCache,
    job: Job,
    **parameters: Any,  # noqa: ANN401 (the flow's parameters)
) -> Recording:
    """Make one run; return what it sent."""
    earlier_requests = len(cache.requests)
    branch = f"bench/tokens-{time.time_ns()}"
    command, environment = sides.prepared(job, branch, **parameters)
    sides.timed(command, environment, job, branch)
    return Recording(
        cache.requests[earlier_requests:],
        _instructions(job.name),
        _metered_usd(sides, environment["PREFECT__FLOW_RUN_ID"]),
    )


def _metered_usd(sides: Sides, flow_run_id: str) -> float:
    storage = sides.region.stack.home / "prefect-client" / "storage"
    return float(json.loads((storage / FOLDER / flow_run_id / "usage.json").read_text())["spent_usd"])


def _resumed(sides: Sides, cache: PromptCache, clock: _Clock, job: Job) -> Recording:
    """Interrupt a run while its last reply begins, and resume it on another machine; return what it sends there."""
    command, environment = sides.prepared(job, f"bench/tokens-{time.time_ns()}")
    model = sides.region.stack.model
    model.script = Script(_steps(ping_seconds=_TIMEOUT_SECONDS))
    try:
        _interrupted(command, environment, cache)
        clock.seconds += _AWAY_SECONDS
        earlier_requests = len(cache.requests)
        model.script = Script(_steps())
        sides.timed(command, environment)
    finally:
        model.script = JOB
    return Recording(cache.requests[earlier_requests:], _instructions(job.name))


def _followed_up(sides: Sides, cache: PromptCache, clock: _Clock, job: Job) -> Recording:
    """Let a run finish its work, and follow up on it on another machine; return what the follow-up sends first."""
    branch = f"bench/tokens-{time.time_ns()}"
    model = sides.region.stack.model
    model.script = Script(_steps())
    try:
        # Only a run that may be continued saves its last words.
        command, environment = sides.prepared(job, branch, verification={"verify_commands": "true"})
        sides.timed(command, environment)
        earlier = environment["PREFECT__FLOW_RUN_ID"]
        clock.seconds += _AWAY_SECONDS
        earlier_requests = len(cache.requests)
        command, environment = sides.prepared(
            job, branch, "follow_up", flow_run_id=earlier, instructions="Say hello in the other steps as well."
        )
        sides.timed(command, environment)
    finally:
        model.script = JOB
        sides.region.git.git(job.name, "update-ref", "-d", f"refs/heads/{branch}")
    return Recording(cache.requests[earlier_requests:], _instructions(job.name))


def _steps(ping_seconds: float = 0) -> tuple[Turn, ...]:
    """Return eleven turns with a command each, and a last one whose reply may stay unfinished for some seconds."""
    turns = [Turn(f"Step {n}.", (Tool("Bash", {"command": f"seq {n}00 | tee step-{n}"}),)) for n in range(1, _TURNS)]
    return (*turns, Turn("Done.", ping_seconds=ping_seconds))


def _interrupted(command: list[str], environment: Mapping[str, str], cache: PromptCache) -> None:
    """Start a run, and tell it to stop when its last reply has begun."""
    hand_back = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory(dir=environment["TMPDIR"]) as machine:
        Path(machine).chmod(0o711)
        process = subprocess.Popen(
            command, env={**environment, **hand_back, "TMPDIR": machine}, cwd=PROJECT, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while sum(request.output_tokens is not None for request in cache.requests) < _TURNS:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                output.seek(0)
                raise RuntimeError(f"the run did not reach its last turn:\n{output.read().decode()[-4000:]}")
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(_TIMEOUT_SECONDS)

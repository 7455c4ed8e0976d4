"""One step of ours alone, in a process of its own: prints its seconds and the memory that it took, as JSON.

`python -m tests.bench.alone instructions <S3 URI>`, `… clone <repository URL>`, `… stream <file of events>`
"""

import json
import logging
import os
import re
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from git import RemoteProgress
from pydantic import SecretStr

from flows.agent.event_types import Event
from flows.agent.process import run_agent
from flows.agent.transcript import portions
from flows.aws.session import client_config, new_boto3_session
from flows.instructions.s3 import PARALLEL, from_s3
from flows.parameters.addresses import RepoUrl, S3Uri
from flows.parameters.implement import DEFAULT_CLONE_DEPTH
from flows.parameters.limits import Limits
from flows.parameters.shared import DEFAULT_REGION
from flows.redaction import SECRETS
from flows.reporting.activity import ActivityLog
from flows.repository.clone import clone
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.sandbox.workspace import Workspace, workspace
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore

TOKEN_VARIABLE: Final = "BENCH_GIT_TOKEN"


def _instructions(place: Workspace, uri: str) -> None:
    client = new_boto3_session(DEFAULT_REGION).client("s3", config=client_config(PARALLEL))
    from_s3(place, client, S3Uri.parse(uri))


def _clone(place: Workspace, url: str) -> None:
    credentials = GitCredentials(SecretStr(os.environ[TOKEN_VARIABLE]), "bench@example.com")
    remote = Remote(RepoUrl.parse(url), credentials, place.trusted)
    branch = f"bench/{datetime.now(UTC):%H%M%S}"
    clone(
        place, remote, branch=branch, base_branch="", depth=DEFAULT_CLONE_DEPTH, allow_default_branch=False,
        progress=RemoteProgress(),
    )  # fmt: skip


def _stream(place: Workspace, source: str) -> None:
    """Listen to a process that prints the events, log their lines, and keep the transcript, as the claude task does."""
    logger = logging.getLogger("bench")
    logger.addHandler(logging.StreamHandler(Path(os.devnull).open("w")))  # noqa: SIM115 (for as long as the process)
    logger.setLevel(logging.INFO)

    activity = ActivityLog((f"{place.work_tree}/",))

    def log(event: Event) -> None:
        for line in activity.lines(event, time.monotonic()):
            logger.log(line.level, "%s", line.text)

    run_agent(
        ["cat", source], environment={"PATH": os.environ["PATH"]}, cwd=place.root, prompt=Path(os.devnull),
        transcript=place.transcript, limits=Limits(), on_event=log,
    )  # fmt: skip


class _Folder:
    """A file system that keeps nothing."""

    def read_path(self, path: str) -> bytes:
        """There is nothing."""
        raise FileNotFoundError(path)

    def write_path(self, path: str, content: bytes) -> None:
        """Take it, and forget it."""


def _keep(place: Workspace) -> None:
    transcript = (SECRETS.redact_bytes(portion) for portion in portions(place.transcript))
    SavedRun(RunStore(_Folder(), "bench")).save_result(b"", transcript, {}, logging.getLogger("bench"))


def main() -> None:
    """Do what the command line says."""
    what, source = sys.argv[1:]
    with workspace() as place:
        idle = _peak_mb()
        started = time.perf_counter()
        {"instructions": _instructions, "clone": _clone, "stream": _stream}[what](place, source)
        taken = time.perf_counter() - started
        if what == "stream":
            _keep(place)
        kept = time.perf_counter() - started - taken
    print(json.dumps({"seconds": taken, "kept_seconds": kept, "idle_mb": idle, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """Return the most that this process held so far; getrusage(2) would count the one that started it as well."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

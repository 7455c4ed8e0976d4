"""One step of this project alone, in its own process: prints its seconds and its memory use, as JSON.

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
from flows.agent.transcript import read_chunks
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


def _instructions(run_workspace: Workspace, uri: str) -> None:
    client = new_boto3_session(DEFAULT_REGION).client("s3", config=client_config(PARALLEL))
    from_s3(run_workspace, client, S3Uri.parse(uri))


def _clone(run_workspace: Workspace, url: str) -> None:
    credentials = GitCredentials(SecretStr(os.environ[TOKEN_VARIABLE]), "bench@example.com")
    remote = Remote(RepoUrl.parse(url), credentials, run_workspace.trusted)
    branch = f"bench/{datetime.now(UTC):%H%M%S}"
    clone(
        run_workspace, remote, branch=branch, base_branch="", depth=DEFAULT_CLONE_DEPTH, allow_default_branch=False,
        progress=RemoteProgress(),
    )  # fmt: skip


def _stream(run_workspace: Workspace, source: str) -> None:
    """Read events from a process that prints them, log their lines and save the transcript, as the claude task does."""
    logger = logging.getLogger("bench")
    logger.addHandler(logging.StreamHandler(Path(os.devnull).open("w")))  # noqa: SIM115 (open until the process exits)
    logger.setLevel(logging.INFO)

    activity = ActivityLog((f"{run_workspace.work_tree}/",))

    def log(event: Event) -> None:
        for line in activity.lines(event, time.monotonic()):
            logger.log(line.level, "%s", line.text)

    run_agent(
        ["cat", source], environment={"PATH": os.environ["PATH"]}, cwd=run_workspace.root, prompt=Path(os.devnull),
        transcript=run_workspace.transcript, limits=Limits(), on_event=log,
    )  # fmt: skip


class _NoStore:
    """A file system that stores nothing."""

    def read_path(self, path: str) -> bytes:
        """Fail: no file exists."""
        raise FileNotFoundError(path)

    def write_path(self, path: str, content: bytes) -> None:
        """Accept the content and discard it."""


def _save(run_workspace: Workspace) -> None:
    transcript = (SECRETS.redact_bytes(chunk) for chunk in read_chunks(run_workspace.transcript))
    SavedRun(RunStore(_NoStore(), "bench")).save_result(b"", transcript, {}, logging.getLogger("bench"))


def main() -> None:
    """Run the step that the command line names."""
    step, source = sys.argv[1:]
    with workspace() as run_workspace:
        idle = _peak_mb()
        started = time.perf_counter()
        {"instructions": _instructions, "clone": _clone, "stream": _stream}[step](run_workspace, source)
        seconds = time.perf_counter() - started
        if step == "stream":
            _save(run_workspace)
        saving_seconds = time.perf_counter() - started - seconds
    print(json.dumps({"seconds": seconds, "saving_seconds": saving_seconds, "idle_mb": idle, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """Return the peak memory of this process so far, in MB. getrusage(2) would include the process that started it."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(match[1]) / 1024 if match else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

"""A run that has finished its work, and commits for it, for the parts of a run that come after that."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prefect.filesystems import LocalFileSystem

from flows.instructions.files import InstructionFile, Instructions
from flows.outcome.timing import StepTimes
from flows.parameters.implement import ImplementParameters
from flows.repository.clone import Checkout
from flows.run.run import DeliverRun, Run
from flows.sandbox.workspace import Workspace
from flows.state.agent_report import AgentReport
from flows.state.records import FinishedWork, Plan
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore

_IDENTITY: Final = ("-c", "user.name=x", "-c", "user.email=x@example.com")
REPORT: Final = AgentReport(
    "Why it is so.", 3, 0.5, 60, "s", {"claude-x": {}}, (), title="The agent's title", claude_code_version="2.1"
)


def git(directories: Workspace, *arguments: str, text: str = "") -> str:
    """Run git on the trusted repository, and return its output."""
    command = ["git", *_IDENTITY, "--git-dir", str(directories.clean_git), *arguments]
    environment = {"PATH": os.environ["PATH"], "GIT_INDEX_FILE": str(directories.trusted / "test-index")}
    process = subprocess.run(command, input=text, capture_output=True, text=True, check=True, env=environment)
    return process.stdout.strip()


def commit(directories: Workspace, subject: str = "Say hello", **files: str) -> str:
    """Return a new commit that also has these files; `__` in a name stands for a slash."""
    if not directories.clean_git.exists():
        subprocess.run(["git", "init", "-q", "--bare", str(directories.clean_git)], check=True)
    for name, content in files.items():
        blob = git(directories, "hash-object", "-w", "--stdin", text=content)
        entry = f"100644,{blob},{name.replace('__', '/')}"
        git(directories, "update-index", "--add", "--cacheinfo", entry)
    return git(directories, "commit-tree", git(directories, "write-tree"), "-m", subject)


def open_run(directories: Workspace, store: Path, checkout: Checkout, **parameters: object) -> Run:
    """Return a run with finished work. Its saved state is in a folder."""
    request = ImplementParameters(
        **{"repo_url": "https://github.com/o/r", "instructions": "x", "branch_name": "work", **parameters}
    )
    saved = SavedRun(RunStore(LocalFileSystem(basepath=str(store)), "the-run"))
    file = InstructionFile("main.md", 5, version_id="v1")
    instructions = Instructions("s3://bucket/main.md", (file,), "main.md", "Say hello.")
    saved.plan = Plan(request.repo_url.url, checkout, instructions, datetime.now(UTC))
    saved.finished = FinishedWork("c", REPORT, b"bundle", ("files were left out: .aider",))
    return DeliverRun(request, directories, saved, StepTimes(), [], apply_to_latest=False)

"""The sides of a comparison: plain, limit, and this project by each entry point. Each job has its own process."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import httpx

from deployments.local.stack import API_KEY, GIT_TOKEN
from flows.agent.command import binary
from flows.parameters.claude_settings import DEFAULT_SETTINGS
from flows.parameters.implement import DEFAULT_COMMIT_MESSAGE
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.parameters.shared import DEFAULT_SECRET_ID
from tests.bench.region import Region

HERE: Final = Path(__file__).parent
PROJECT: Final = Path(__file__).parents[2]
_BRANCHES: Final = itertools.count(1)
_TIMEOUT_SECONDS: Final = 600
PULL_NOTHING: Final[Mapping[str, Any]] = {
    "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(PROJECT)}}]
}
"""A deployment's pull step. Without one Prefect copies its working directory: the checkout with its environment."""

_CLAUDE_ALONE: Final = """
mkdir work && cd work && echo "Write hello.txt" | "$CLAUDE" -p --output-format stream-json --verbose \\
  --permission-mode acceptEdits --model "$CLAUDE_MODEL_ID" >../transcript.jsonl
"""


@dataclass(frozen=True)
class Job:
    """A repository and instructions."""

    repo_url: str
    instructions_s3_uri: str

    @property
    def name(self) -> str:
        """The repository's name on the git server."""
        return self.repo_url.rpartition("/")[2].removesuffix(".git")


@dataclass
class Sides:
    """The ways to do a job with a region's servers. Each is a function that does it once and returns its seconds."""

    region: Region
    flows: dict[str, str] = field(default_factory=dict)
    prefect_deployment: str = ""

    def plain(self, job: Job) -> float:
        """The original job as one pipeline of shell commands (`plain.sh`)."""
        return self._shell("plain.sh", job, {"REPO_URL": job.repo_url})

    def limit(self, job: Job) -> float:
        """The least that any implementation of the job must do (`limit.sh`)."""
        with_token = job.repo_url.replace("://", f"://x-access-token:{GIT_TOKEN}@")
        return self._shell("limit.sh", job, {"REPO_URL_WITH_TOKEN": with_token})

    def execute(self, job: Job, **more: Any) -> float:  # noqa: ANN401 (the flow's parameters)
        """A flow run that is scheduled on the server, executed by the command that ECS runs."""
        branch = f"bench/{next(_BRANCHES)}"
        command, environment = self.prepared(job, branch, **more)
        return self.timed(command, environment, job, branch)

    def prepared(
        self,
        job: Job,
        branch: str,
        flow: str = "implement",
        **more: Any,  # noqa: ANN401 (the flow's parameters)
    ) -> tuple[list[str], dict[str, str]]:
        """Create the flow run; return the command and the environment that execute it."""
        parameters = {**self.parameters(job, branch), **more} if flow == "implement" else more
        run_id = self.flow_run(flow, parameters)
        environment = {**self.environment(), "PREFECT__FLOW_RUN_ID": run_id}
        return [sys.executable, "-m", "flows.runtime.execute"], environment

    def prefect_execute(self, job: Job) -> float:
        """The same flow run, executed by Prefect's own command."""
        branch = f"bench/{next(_BRANCHES)}"
        if not self.prefect_deployment:
            self.prefect_deployment = self.deploy("implement", "by-prefect", PULL_NOTHING)
        run_id = self.flow_run_of(self.prefect_deployment, self.parameters(job, branch))
        environment = {**self.environment(), "PREFECT__FLOW_RUN_ID": run_id}
        return self.timed([sys.executable, "-m", "prefect", "flow-run", "execute"], environment, job, branch)

    def variables(self, job: Job) -> float:
        """`python -m flows`, with the running Prefect server."""
        branch = f"bench/{next(_BRANCHES)}"
        settings = {"PROCESS_REQUIREMENTS": "true", "BRANCH_NAME": branch, "CLAUDE_PROVIDER": "anthropic"}
        sources = {"REPO_URL": job.repo_url, "INSTRUCTIONS_S3_URI": job.instructions_s3_uri}
        return self.timed([sys.executable, "-m", "flows"], {**self.environment(), **settings, **sources}, job, branch)

    def empty(self) -> float:
        """A flow of five empty tasks, executed by the command that ECS runs."""
        command, environment = self.prepared(Job("", ""), "", "empty")
        return self.timed(command, environment)

    def claude(self, job: Job) -> float:
        """The claude process alone, with the same prompt, in an empty directory."""
        del job
        with self._work() as work:
            environment = {**self.shell_environment(work), "CLAUDE": str(binary())}
            return self.timed(["bash", "-c", _CLAUDE_ALONE], environment, cwd=work)

    def environment(self) -> dict[str, str]:
        """Return the environment of this project's side, which is that of the image."""
        return {**self.region.environment(), "PYTHONPATH": str(PROJECT)}

    @staticmethod
    def parameters(job: Job, branch: str) -> dict[str, Any]:
        """Return the flow's parameters."""
        return {
            "repo_url": job.repo_url,
            "instructions_s3_uri": job.instructions_s3_uri,
            "branch_name": branch,
            "provider": "anthropic",
        }

    def flow_run(self, flow: str, parameters: Mapping[str, Any]) -> str:
        """Create a scheduled run of a flow's deployment; return its id."""
        if flow not in self.flows:
            self.flows[flow] = self.deploy(flow)
        return self.flow_run_of(self.flows[flow], parameters)

    def flow_run_of(self, deployment: str, parameters: Mapping[str, Any]) -> str:
        """Create a scheduled run of a deployment; return its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "enforce_parameter_schema": False}
        return str(self.api(f"/deployments/{deployment}/create_flow_run", body)["id"])

    def deploy(self, flow: str, name: str = "bench", more: Mapping[str, Any] = MappingProxyType({})) -> str:
        """Create a deployment like those on ECS, where the image holds the flow; return its id."""
        entrypoint = {"empty": "tests.bench.empty_flow.empty"}.get(flow, f"flows.{flow}.{flow}")
        flow_id = self.api("/flows/", {"name": flow})["id"]
        body = {"name": name, "flow_id": flow_id, "entrypoint": entrypoint, "path": ".", **more}
        return str(self.api("/deployments/", body)["id"])

    def api(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request to the Prefect server; return its response."""
        url = self.region.stack.prefect_api_url + path
        for _ in range(20):
            response = httpx.post(url, json=body, trust_env=False, timeout=60)
            # SQLite may still be busy with the events of the previous run.
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.5)
        result: dict[str, Any] = response.raise_for_status().json()
        return result

    def _shell(self, script: str, job: Job, url_variables: Mapping[str, str]) -> float:
        branch = f"bench/{next(_BRANCHES)}"
        with self._work() as work:
            job_variables = {"BRANCH_NAME": branch, "INSTRUCTIONS_S3_URI": job.instructions_s3_uri, **url_variables}
            return self.timed(
                ["bash", str(HERE / script)], {**self.shell_environment(work), **job_variables}, job, branch, cwd=work
            )

    def shell_environment(self, work: Path) -> dict[str, str]:
        """Return the variables of the pipelines; `work` is their working and home directory."""
        return {
            **self.region.environment(),
            "WORK": str(work),
            "HOME": str(work),
            "CLAUDE": str(binary()),
            "PYTHON": sys.executable,
            "BENCH": str(HERE),
            "ANTHROPIC_API_KEY": API_KEY,
            "CLAUDE_MODEL_ID": DEFAULT_MODEL_IDS["anthropic"],
            "CLAUDE_SETTINGS": json.dumps(DEFAULT_SETTINGS),
            "COMMIT_MESSAGE": DEFAULT_COMMIT_MESSAGE,
            "GIT_CREDENTIALS_SECRET_ID": DEFAULT_SECRET_ID,
            # Without it claude waits for servers that this machine may be unable to reach.
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }

    @contextmanager
    def _work(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.region.directory / "tmp") as work:
            yield Path(work)

    def timed(
        self,
        command: list[str],
        environment: Mapping[str, str],
        job: Job | None = None,
        branch: str = "",
        cwd: Path = PROJECT,
    ) -> float:
        """Run a command until it exits; return its seconds. Fail if it fails or if its branch is not on the remote."""
        started = time.perf_counter()
        with tempfile.TemporaryFile() as output_file:
            status = subprocess.run(
                command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output_file, stderr=output_file,
                timeout=_TIMEOUT_SECONDS, check=False,
            ).returncode  # fmt: skip
            seconds = time.perf_counter() - started
            output_file.seek(0)
            output = output_file.read().decode("utf-8", "replace")
        if os.environ.get("BENCH_VERBOSE"):
            print(output)
        if status != 0:
            raise RuntimeError(f"{command} ended with status {status}:\n{output[-4000:]}")
        if job is not None and branch:
            self.region.git.git(job.name, "rev-parse", "--verify", f"refs/heads/{branch}:hello.txt")
            self.region.git.git(job.name, "update-ref", "-d", f"refs/heads/{branch}")
        return seconds


def pairs(sides: Mapping[str, Callable[[], float]], count: int, warm_ups: int = 1) -> dict[str, list[float]]:
    """Run the sides in turn, so that other load on the machine affects them equally; return the seconds of each run."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_ups, count):
        for name, side in sides.items():
            seconds = side()
            if number >= 0:
                times[name].append(seconds)
    return times


def fewer(count: int) -> int:
    """Return how many pairs to measure of a job that takes minutes, so that the whole bench takes twenty minutes."""
    return max(1, count // 2)

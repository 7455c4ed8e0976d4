"""Finds the results of a run where a user would look for them: in Prefect's API and in the git repository."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
from prefect.filesystems import LocalFileSystem
from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from deployments.local.forge import LocalForge
from deployments.local.served import DemoFailed
from deployments.local.stack import LocalStack
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.result import Failure, Outcome, RunResult
from flows.outcome.verification import VerificationResult
from flows.state.files import FOLDER
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from flows.verification.results import Status

_EVENT_SECONDS: Final = 20
_FOLLOW_UP_ROWS: Final = ("| Review heard |", "| Turns, cost, time |", "| Tokens |", "| Cache |")
"""The rows of a follow-up's report that show what it heard, and that it continued a session which was in the cache."""


@dataclass
class LocalRun:
    """A run of a flow on the local stack."""

    stack: LocalStack
    forge: LocalForge
    repository: str
    flow_run_id: str

    @property
    def url(self) -> str:
        """The address of the run's page in Prefect's UI."""
        return f"{self.stack.prefect_api_url.removesuffix('/api')}/runs/flow-run/{self.flow_run_id}"

    @cached_property
    def flow_run(self) -> dict[str, Any]:
        """The flow run, as Prefect's API returns it."""
        flow_run: dict[str, Any] = self._api.get(f"/flow_runs/{self.flow_run_id}").json()
        return flow_run

    @cached_property
    def branch(self) -> str:
        """The name of the branch that the run pushed; empty if the run pushed no branch."""
        branch = str(self.flow_run["name"]).partition(" @ ")[2]
        pushed = self.stack.git.git(self.repository, "branch", "--format=%(refname:short)").splitlines()
        return branch if branch in pushed else ""

    def show(self, console: Console) -> None:
        """Print the run's report, its branch with the diff, its pull request, and the duration of each step."""
        console.rule(f"[bold]{self.flow_run['state']['name']}[/bold] {self.flow_run['name']}")
        for report in self._reports():
            console.print(Markdown(report.partition("## Diff")[0]))
        if self.branch:
            console.rule(f"git show {self.branch}")
            commit = self.stack.git.git(self.repository, "show", "--format=fuller", "--stat", "--patch", self.branch)
            console.print(Syntax(commit, "diff", word_wrap=True))
        for pull_request in self.forge.pull_requests:
            console.rule(f"Pull request {pull_request.number} into {pull_request.base}")
            console.print(Text(pull_request.title, "bold"))
            console.print(Markdown(pull_request.body))
        console.print(self._step_times())

    def show_follow_up(self, console: Console) -> None:
        """Print the new commit of a follow-up, the comments on the pull request, what it used, and the steps' times."""
        [pull_request] = self.forge.pull_requests
        console.rule(f"[bold]{self.flow_run['state']['name']}[/bold] {self.flow_run['name']}")
        console.print(Text(str(self.flow_run["state"]["message"])))
        commit = self.stack.git.git(self.repository, "show", "--format=fuller", "--patch", pull_request.head)
        console.print(Syntax(commit, "diff", word_wrap=True))
        for comment in self.forge.reviews.comments:
            place = f" on {comment.path}:{comment.line}" if comment.path else ""
            console.rule(f"{comment.author}{place}")
            console.print(Markdown(comment.body.partition("<!--")[0]))
        console.rule("From the report of the follow-up")
        for report in self._reports():
            rows = [line for line in report.splitlines() if line.startswith(_FOLLOW_UP_ROWS)]
            console.print(Markdown("\n".join(("| | |", "|---|---|", *rows))))
        console.print(self._step_times())

    def summary(self) -> dict[str, Any]:
        """Return the object that `python -m flows --json` prints, plus the seconds that the run and each step took."""
        event = self._event()
        payload, outcome = event["payload"], Outcome(str(event["event"]).rpartition(".")[2])
        commit = str(payload["commit"])
        changed = self.stack.git.git(self.repository, "diff", "--name-only", f"{commit}^", commit) if commit else ""
        result = RunResult(
            outcome=outcome,
            flow_run_id=self.flow_run_id,
            repo_url=str(payload["repository"]),
            branch=self.branch,
            commit=commit,
            files=tuple(changed.splitlines()),
            cost_usd=payload["cost_usd"],
            turns=payload["turns"],
            cache_read_tokens=payload["cache_read_tokens"],
            cache_saved_usd=payload["cache_saved_usd"],
            summary=str(payload.get("summary", "")),
            verification=self._verification(
                str(payload.get("verification", "")), str(payload.get("verify_source", ""))
            ),
            pull_request=self._pull_request(payload),
            saved_in=str(self._storage / FOLDER / self.flow_run_id),
            error=Failure(payload["error"], payload["message"]) if "error" in payload else None,
        )
        steps = {name: task_run["total_run_time"] for name, task_run in self.steps()}
        return {**result.as_json(), "seconds": self.flow_run["total_run_time"], "steps": steps}

    def _pull_request(self, payload: Mapping[str, Any]) -> PullRequestResult | None:
        """Return what the run's event says about the pull request."""
        url, fault = str(payload.get("pull_request", "")), str(payload.get("pull_request_fault", ""))
        number = len(self.forge.pull_requests)
        return PullRequestResult(url, number, fault=fault) if url or fault else None

    @property
    def _storage(self) -> Path:
        return self.stack.home / "prefect-client" / "storage"

    def _verification(self, status: str, source: str) -> VerificationResult | None:
        """Return the result of the run's last verification. The run's saved state has more of it than its event."""
        if not status:
            return None
        saved = SavedRun(RunStore(LocalFileSystem(basepath=str(self._storage)), self.flow_run_id, ()))
        saved.load(logging.getLogger(__name__))
        rounds = saved.verifications.rounds
        verification, repairs = (rounds[-1].verification, rounds[-1].number) if rounds else (None, 0)
        return VerificationResult.of(Status(status), verification, repairs, rounds, source)

    def _event(self) -> dict[str, Any]:
        """Wait for the run's event and return it. The event reaches the Prefect server shortly after the run ends."""
        filters = {"filter": {"resource": {"id": [f"claude-code.run.{self.flow_run_id}"]}}}
        deadline = time.monotonic() + _EVENT_SECONDS
        while True:
            events = self._api.post("/events/filter", json=filters).json()["events"]
            if events:
                return dict(events[0])
            if time.monotonic() > deadline:
                raise DemoFailed(f"the run's event did not reach the Prefect server within {_EVENT_SECONDS} s")
            time.sleep(0.2)

    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the name and the current task run of each step that has started, in the order of the start times."""
        started = [task_run for task_run in self._records("task_runs") if task_run["state"] and task_run["start_time"]]
        task_runs = sorted(started, key=lambda task_run: str(task_run["start_time"]))
        return [(str(task_run["name"]), task_run) for task_run in task_runs]

    @cached_property
    def _api(self) -> httpx.Client:
        return httpx.Client(base_url=self.stack.prefect_api_url, timeout=60, trust_env=False)

    def _records(self, kind: str) -> list[dict[str, Any]]:
        """Return the run's records of one kind, such as `artifacts` or `task_runs`, from Prefect's API."""
        filters = {"flow_runs": {"id": {"any_": [self.flow_run_id]}}}
        records: list[dict[str, Any]] = self._api.post(f"/{kind}/filter", json=filters).json()
        return records

    def _reports(self) -> list[str]:
        """Return the text of the run's report, as a list of one."""
        reports = (each for each in self._records("artifacts") if (each["key"] or "").endswith("-report"))
        return [str(report["data"]) for report in reports]

    def _step_times(self) -> Table:
        table = Table("step", "state", "seconds", "attempts")
        for step, task_run in self.steps():
            seconds = f"{task_run['total_run_time']:.1f}"
            table.add_row(step, task_run["state"]["name"], seconds, str(task_run["run_count"]))
        table.add_row("whole run", self.flow_run["state"]["name"], f"{self.flow_run['total_run_time']:.1f}", "")
        return table

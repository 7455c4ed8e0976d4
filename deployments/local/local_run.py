"""What came of a run, as a user would look it up: in Prefect's API and at the git remote."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.table import Table

from deployments.local.stack import LocalStack


@dataclass
class LocalRun:
    """A run of `implement` on the local stack."""

    stack: LocalStack
    repository: str
    flow_run_id: str

    @property
    def url(self) -> str:
        """The run's page in Prefect's UI."""
        return f"{self.stack.prefect_api_url.removesuffix('/api')}/runs/flow-run/{self.flow_run_id}"

    @cached_property
    def flow_run(self) -> dict[str, Any]:
        """The flow run."""
        found: dict[str, Any] = self._api.get(f"/flow_runs/{self.flow_run_id}").json()
        return found

    @cached_property
    def branch(self) -> str:
        """The branch that was pushed; empty where none was."""
        branch = str(self.flow_run["name"]).partition(" @ ")[2]
        pushed = self.stack.git.git(self.repository, "branch", "--format=%(refname:short)").splitlines()
        return branch if branch in pushed else ""

    def show(self, console: Console) -> None:
        """Print the report, the branch and its diff, and where the time went."""
        console.rule(f"[bold]{self.flow_run['state']['name']}[/bold] {self.flow_run['name']}")
        for report in self._of_run("artifacts"):
            if (report["key"] or "").endswith("-report"):
                console.print(Markdown(report["data"].partition("## Diff")[0]))
        if self.branch:
            console.rule(f"git show {self.branch}")
            shown = self.stack.git.git(self.repository, "show", "--format=fuller", "--stat", "--patch", self.branch)
            console.print(Syntax(shown, "diff", word_wrap=True))
        console.print(self._step_times())
        console.print(f"Prefect UI of the run: {self.url}", soft_wrap=True)

    def summary(self) -> dict[str, Any]:
        """Return the same for a machine."""
        git, branch = self.stack.git.git, self.branch
        return {
            "outcome": self.flow_run["state"]["name"],
            "message": self.flow_run["state"]["message"],
            "flow_run_id": self.flow_run_id,
            "branch": branch,
            "commit": git(self.repository, "rev-parse", branch).strip() if branch else "",
            "files": git(self.repository, "diff", "--name-only", f"{branch}^", branch).split() if branch else [],
            "seconds": self.flow_run["total_run_time"],
            "steps": {name: task_run["total_run_time"] for name, task_run in self.steps()},
        }

    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the task runs as they are now, in the order of their beginnings, by the names of the steps."""
        begun = [one for one in self._of_run("task_runs") if one["state"] and one["start_time"]]
        task_runs = sorted(begun, key=lambda one: str(one["start_time"]))
        return [(str(task_run["name"]), task_run) for task_run in task_runs]

    @cached_property
    def _api(self) -> httpx.Client:
        return httpx.Client(base_url=self.stack.prefect_api_url, timeout=60, trust_env=False)

    def _of_run(self, what: str) -> list[dict[str, Any]]:
        mine = {"flow_runs": {"id": {"any_": [self.flow_run_id]}}}
        found: list[dict[str, Any]] = self._api.post(f"/{what}/filter", json=mine).json()
        return found

    def _step_times(self) -> Table:
        table = Table("step", "state", "seconds", "attempts")
        for step, task_run in self.steps():
            seconds = f"{task_run['total_run_time']:.1f}"
            table.add_row(step, task_run["state"]["name"], seconds, str(task_run["run_count"]))
        table.add_row("whole run", self.flow_run["state"]["name"], f"{self.flow_run['total_run_time']:.1f}", "")
        return table

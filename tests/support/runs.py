"""Running the flow in a test, and reading its results."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from flows.implement import implement
from flows.outcome.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Run:
    """A finished flow run."""

    state: State[Any]
    error: BaseException | None
    result: RunResult | None
    api_url: str

    @property
    def id(self) -> str:
        return str(self.state.state_details.flow_run_id)

    def run_count(self, step: str) -> int:
        """Return how many attempts a step took.

        The server records the last attempt shortly after the run has ended, so this waits for up to ten seconds.
        """
        of_this_run = {"flow_runs": {"id": {"any_": [self.id]}}}
        for _ in range(100):
            rows = httpx.post(f"{self.api_url}/task_runs/filter", json=of_this_run).json()
            for row in rows:
                if row["name"] == step and row["state_type"] in {"COMPLETED", "FAILED"}:
                    return int(row["run_count"])
            time.sleep(0.1)
        raise AssertionError(f"no finished task run {step!r}")

    def saved_file(self, name: str) -> Path:
        """Return the path of one of the run's saved files."""
        return Path(str(PREFECT_LOCAL_STORAGE_PATH.value())) / "claude-code-headless" / self.id / name

    def artifact(self) -> str:
        """Return the text of the run's report artifact."""
        of_this_run = {"flow_runs": {"id": {"any_": [self.id]}}}
        rows = httpx.post(f"{self.api_url}/artifacts/filter", json=of_this_run).json()
        [report] = [row["data"] for row in rows if (row["key"] or "").endswith("-report")]
        return str(report)

    def delivered(self) -> RunResult:
        """Return the result of a run that completed."""
        assert self.error is None, self.error
        assert self.result is not None
        return self.result


def run_flow(api_url: str, **parameters: Any) -> Run:  # noqa: ANN401 (the flow's parameters)
    """Run the flow in this process."""
    call: Callable[..., State[Any]] = implement
    state = call(**parameters, return_state=True)
    result = state.result(raise_on_failure=False)
    if isinstance(result, RunResult):
        return Run(state, None, result, api_url)
    return Run(state, result, None, api_url)


def steps_started(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log messages of this test's task runs."""
    return [record.getMessage() for record in caplog.records if record.name == "prefect.task_runs"]

"""Shows the agent's work live: as log lines, and as a progress artifact on the run's page in Prefect's UI.

Calls to Prefect's API can fail or hang. A separate thread makes them, so that the run neither waits nor fails for them.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

from prefect import get_run_logger, runtime
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.agent.event_types import Event
from flows.outcome.timing import LOGGER
from flows.parameters.limits import Limits
from flows.reporting.activity import ActivityLog
from flows.reporting.tool_calls import shorten
from flows.sandbox.workspace import Workspace
from flows.text_safety import sanitize

if TYPE_CHECKING:
    from flows.model.meter import Meter

_UPDATE_SECONDS: Final = 3
_SUMMARY_SECONDS: Final = 60
_SUMMARY_INTERVAL: Final = 0.05
"""The time between two summaries in the log, as a fraction of the elapsed time. A run of a day logs about a hundred."""

_ACTIVITY_MAX: Final = 100


@contextmanager
def show_progress(workspace: Workspace, meter: "Meter", limits: Limits) -> Iterator[Callable[[Event], None]]:
    """Show the agent's work while the context is open; yield a function to call with each event of the agent."""
    logger = get_run_logger()
    prefixes = (f"{workspace.work_tree}/", f"{workspace.instructions}/")
    activity = ActivityLog(prefixes, in_detail=logger.isEnabledFor(logging.DEBUG))
    step = str(runtime.task_run.name or "claude")
    progress = _Progress(activity, meter, limits, cast("logging.Logger", logger))

    def log(event: Event) -> None:
        for line in activity.lines(event, time.monotonic()):
            logger.log(line.level, "%s", line.text)
        # This message comes last, because a terminal shows the latest message, and only this one is about the present.
        LOGGER.info("%s", progress.current(), extra={"task_name": step})

    thread = threading.Thread(target=copy_context().run, args=(progress.run,), name="progress", daemon=True)
    thread.start()
    try:
        yield log
    finally:
        progress.is_over.set()


@dataclass
class _Progress:
    """The progress of an agent. Its thread updates the progress artifact and logs summaries until the agent is done."""

    activity: ActivityLog
    meter: "Meter"
    limits: Limits
    logger: logging.Logger
    is_over: threading.Event = field(default_factory=threading.Event)
    started_at: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        artifact: UUID | None = None
        with suppress(Exception):  # the log has the same lines
            artifact = cast("UUID", create_progress_artifact(progress=0.0, description="Claude Code starts"))
        last_summary, next_summary_at = "", self.started_at + _SUMMARY_SECONDS
        while not self.is_over.wait(_UPDATE_SECONDS):
            summary = f"{self._usage()}; {self._activity()}"
            if summary != last_summary:
                last_summary = summary
                self._update(artifact, self._percent(), summary)
            if (now := time.monotonic()) >= next_summary_at:
                self.logger.info("so far: %s", summary)
                next_summary_at = now + max(_SUMMARY_SECONDS, (now - self.started_at) * _SUMMARY_INTERVAL)
        self._update(artifact, 100.0, f"The agent is done: {self._usage()}")

    def _update(self, artifact: UUID | None, percent: float, description: str) -> None:
        if artifact:
            with suppress(Exception):  # the next update may succeed
                update_progress_artifact(artifact, progress=percent, description=sanitize(description))

    def current(self) -> str:
        """Return the current activity, and the usage so far."""
        return f"{self._activity()} ({self._usage()})"

    def _activity(self) -> str:
        activity = shorten(self.activity.current_activity, _ACTIVITY_MAX)
        repeated = shorten(self.activity.repeated_failures.current, _ACTIVITY_MAX)
        return f"{activity}; {repeated}" if repeated else activity

    def _usage(self) -> str:
        turns = f" of {self.limits.max_turns}" if self.limits.max_turns else ""
        budget = f" of ${self.limits.max_budget_usd:g}" if self.limits.max_budget_usd else ""
        tokens = sum(self.meter.tokens.values())
        minutes, seconds = divmod(int(time.monotonic() - self.started_at), 60)
        cost = f"${self.meter.spent_usd:.2f}{budget}"
        return f"{self.meter.replies}{turns} turns, {cost}, {minutes}:{seconds:02} min, {tokens:,} tokens"

    def _percent(self) -> float:
        """Return how much of the most nearly exhausted limit has been used, in percent; at most 99."""
        usages_and_limits = (
            (self.meter.replies, self.limits.max_turns),
            (self.meter.spent_usd, self.limits.max_budget_usd),
            (time.monotonic() - self.started_at, self.limits.agent_timeout_seconds),
        )
        largest = max((usage / limit for usage, limit in usages_and_limits if limit), default=0.0)
        return min(99.0, round(100 * largest, 1))

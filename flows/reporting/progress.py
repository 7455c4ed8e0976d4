"""The agent's work as it goes on: lines in the log, and a progress artifact on the run's page.

Calls to Prefect's API can fail or hang. A thread of its own makes them, and no run waits for it or fails with it.
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

from prefect import get_run_logger
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
_SUMMARIES: Final = 20
"""At most one summary in this part of the elapsed time, so that a run of a day has about a hundred."""

_ACTIVITY_SHOWN: Final = 100


@contextmanager
def show_progress(workspace: Workspace, meter: "Meter", limits: Limits) -> Iterator[Callable[[Event], None]]:
    """Show the agent's work while the context lasts; yield what is to be called with each of its events."""
    logger = get_run_logger()
    prefixes = (f"{workspace.work_tree}/", f"{workspace.instructions}/")
    activity = ActivityLog(prefixes, in_detail=logger.isEnabledFor(logging.DEBUG))
    progress = _Progress(activity, meter, limits, cast("logging.Logger", logger))

    def log(event: Event) -> None:
        for line in activity.lines(event, time.monotonic()):
            logger.log(line.level, "%s", line.text)
        # After the lines, which say what is over: a terminal shows what goes on.
        LOGGER.info("%s", progress.current(), extra={"task_name": "claude"})

    thread = threading.Thread(target=copy_context().run, args=(progress.run,), name="progress", daemon=True)
    thread.start()
    try:
        yield log
    finally:
        progress.is_over.set()


@dataclass
class _Progress:
    """How far an agent is: updates the progress artifact, and logs summaries, until the agent is done."""

    activity: ActivityLog
    meter: "Meter"
    limits: Limits
    logger: logging.Logger
    is_over: threading.Event = field(default_factory=threading.Event)
    started_at: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        artifact, last_summary, next_summary_at = self._create(), "", self.started_at + _SUMMARY_SECONDS
        while not self.is_over.wait(_UPDATE_SECONDS):
            if (summary := self._summary()) != last_summary:
                last_summary = summary
                self._update(artifact, self._percent(), summary)
            if (now := time.monotonic()) >= next_summary_at:
                self.logger.info("so far: %s", summary)
                next_summary_at = now + max(_SUMMARY_SECONDS, (now - self.started_at) / _SUMMARIES)
        self._update(artifact, 100.0, f"The agent is done: {self._spent()}")

    def _create(self) -> UUID | None:
        with suppress(Exception):  # the log says the same
            return cast("UUID", create_progress_artifact(progress=0.0, description="Claude Code starts"))
        return None

    def _update(self, artifact: UUID | None, percent: float, description: str) -> None:
        if artifact:
            with suppress(Exception):  # the next one may get through
                update_progress_artifact(artifact, progress=percent, description=sanitize(description))

    def _summary(self) -> str:
        return f"{self._spent()}; {shorten(self.activity.current_activity, _ACTIVITY_SHOWN)}"

    def current(self) -> str:
        """Return what goes on, and what is spent."""
        return f"{shorten(self.activity.current_activity, _ACTIVITY_SHOWN)} ({self._spent()})"

    def _spent(self) -> str:
        turns = f" of {self.limits.max_turns}" if self.limits.max_turns else ""
        budget = f" of ${self.limits.max_budget_usd:g}" if self.limits.max_budget_usd else ""
        tokens = sum(self.meter.tokens.values())
        minutes, seconds = divmod(int(time.monotonic() - self.started_at), 60)
        spent = f"${self.meter.spent_usd:.2f}{budget}"
        return f"{self.meter.replies}{turns} turns, {spent}, {minutes}:{seconds:02} min, {tokens:,} tokens"

    def _percent(self) -> float:
        """Return how much of the nearest limit is used, in percent."""
        used = (
            (self.meter.replies, self.limits.max_turns),
            (self.meter.spent_usd, self.limits.max_budget_usd),
            (time.monotonic() - self.started_at, self.limits.agent_timeout_seconds),
        )
        return min(99.0, round(100 * max((part / most for part, most in used if most), default=0.0), 1))

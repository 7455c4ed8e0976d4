"""The agent's work as it goes on, for whoever watches: lines in the log, and a progress artifact on the run's page.

The artifact is Prefect's to keep, by calls that can fail or hang: a thread of its own makes them, and no run waits for
it or fails with it.
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

from flows.agent.events import Event
from flows.outcome.timing import LOGGER
from flows.parameters.limits import Limits
from flows.redaction import redact
from flows.reporting.activity import Narrator
from flows.reporting.tool_calls import short
from flows.sandbox.workspace import Workspace

if TYPE_CHECKING:
    from flows.model.meter import Meter

_UPDATE_SECONDS: Final = 3
_SUMMARY_SECONDS: Final = 60
_SUMMARIES: Final = 20
"""How much of the time so far is between two summaries, as its part: a day's run has a hundred of them."""

_DOING_SHOWN: Final = 100


@contextmanager
def show_progress(workspace: Workspace, meter: "Meter", limits: Limits) -> Iterator[Callable[[Event], None]]:
    """Show the agent's work while the context lasts; yield what is to be called with each of its events."""
    logger = get_run_logger()
    prefixes = (f"{workspace.work_tree}/", f"{workspace.instructions}/")
    narrator = Narrator(prefixes, in_detail=logger.isEnabledFor(logging.DEBUG))
    shown = _Shown(narrator, meter, limits, cast("logging.Logger", logger))

    def tell(event: Event) -> None:
        for line in narrator.tell(event, time.monotonic()):
            logger.log(line.level, "%s", line.text)
        # After the lines, which say what is over: a terminal shows what goes on.
        LOGGER.info("%s", shown.now(), extra={"task_name": "claude"})

    thread = threading.Thread(target=copy_context().run, args=(shown.until_over,), name="progress", daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        shown.over.set()


@dataclass
class _Shown:
    """What is shown of an agent, again and again until it is over."""

    narrator: Narrator
    meter: "Meter"
    limits: Limits
    logger: logging.Logger
    over: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    def until_over(self) -> None:
        artifact, said, summary_at = self._create(), "", self.began + _SUMMARY_SECONDS
        while not self.over.wait(_UPDATE_SECONDS):
            if (words := self._words()) != said:
                said = words
                self._update(artifact, self._percent(), words)
            if (now := time.monotonic()) >= summary_at:
                self.logger.info("so far: %s", words)
                summary_at = now + max(_SUMMARY_SECONDS, (now - self.began) / _SUMMARIES)
        self._update(artifact, 100.0, f"The agent is done: {self._spent()}")

    def _create(self) -> UUID | None:
        with suppress(Exception):  # the log says the same
            return cast("UUID", create_progress_artifact(progress=0.0, description="Claude Code starts"))
        return None

    def _update(self, artifact: UUID | None, percent: float, words: str) -> None:
        if artifact:
            with suppress(Exception):  # the next one may get through
                update_progress_artifact(artifact, progress=percent, description=redact(words))

    def _words(self) -> str:
        return f"{self._spent()}; {short(self.narrator.doing, _DOING_SHOWN)}"

    def now(self) -> str:
        """Return what goes on, and after that what is spent."""
        return f"{short(self.narrator.doing, _DOING_SHOWN)} ({self._spent()})"

    def _spent(self) -> str:
        turns = f" of {self.limits.max_turns}" if self.limits.max_turns else ""
        budget = f" of ${self.limits.max_budget_usd:g}" if self.limits.max_budget_usd else ""
        tokens = sum(self.meter.tokens.values())
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        spent = f"${self.meter.spent_usd:.2f}{budget}"
        return f"{self.meter.replies}{turns} turns, {spent}, {minutes}:{seconds:02} min, {tokens:,} tokens"

    def _percent(self) -> float:
        """Return how much is used of the limit that is nearest."""
        used = (
            (self.meter.replies, self.limits.max_turns),
            (self.meter.spent_usd, self.limits.max_budget_usd),
            (time.monotonic() - self.began, self.limits.agent_timeout_seconds),
        )
        return min(99.0, round(100 * max((part / most for part, most in used if most), default=0.0), 1))

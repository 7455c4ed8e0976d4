"""Shows a run at a terminal: one row for each step, with its current activity, its result and its duration."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from rich import progress as bars
from rich.console import Console
from rich.progress import ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from flows.outcome import timing
from flows.text_safety import one_line

_NAME_WIDTH: Final = len("claude repair 1")
_PREFECT: Final = "prefect"
"""The name of the row above the first step. It shows the start of Prefect's server, which takes a while."""


def is_interactive(console: Console) -> bool:
    """Return whether the console can redraw rows."""
    return console.is_terminal and not console.is_dumb_terminal


class Rows:
    """The rows of the steps. They are redrawn while the context is open, and then stay on the screen."""

    def __init__(self, console: Console) -> None:
        now = TextColumn("{task.fields[now]}", style="dim", markup=False, table_column=Column(ratio=1, no_wrap=True))
        name = TextColumn("{task.description}", markup=False, table_column=Column(min_width=_NAME_WIDTH))
        self._progress = bars.Progress(
            _Mark(finished_text="[green]✓"), name, _Seconds(), now, console=console, expand=True
        )
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        for row in self._open():
            self._progress.update(row, failed=True)
            self._progress.stop_task(row)
        self._progress.stop()

    def begin(self, step: str) -> None:
        """Add a row for a step. A step that is tried again keeps its row."""
        if step not in self._rows:
            self._rows[step] = self._progress.add_task(step, total=1, now="", failed=False)

    def complete(self, step: str, text: str = "") -> None:
        """Mark a step as done, and show a last text in its row. If `text` is empty, the row keeps its text."""
        if text:
            self.update(step, text)
        self.begin(step)
        self._progress.update(self._rows[step], completed=1)

    def fail(self, step: str, text: str) -> None:
        """Mark a step as failed although the run goes on, and show why in its row."""
        self.update(step, text)
        self._progress.update(self._rows[step], failed=True)

    def update(self, step: str, text: str) -> None:
        """Show a step's current activity. Ignore a text for a completed step: it comes from Prefect."""
        self.begin(step)
        if self._rows[step] in self._open():
            self._progress.update(self._rows[step], now=one_line(text))

    def warn(self, text: str) -> None:
        """Print a warning above the rows, where it stays."""
        self._progress.console.print(Text(f"! {one_line(text)}", "yellow"), soft_wrap=True)

    def _open(self) -> Iterator[TaskID]:
        yield from (task.id for task in self._progress.tasks if not task.finished)


class Lines:
    """The counterpart of `Rows` for a console that cannot redraw: prints one line for each message, in order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start_times: dict[str, float] = {}
        self._completed: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, step: str) -> None:
        """Start the step's clock."""
        self._start_times.setdefault(step, time.monotonic())

    def complete(self, step: str, text: str = "") -> None:
        """Print that a step is done and how long it took, but only once for each step."""
        self.begin(step)
        if step not in self._completed:
            self._completed.add(step)
            self._line("✓", step, f"{time.monotonic() - self._start_times[step]:.1f} s  {one_line(text)}".rstrip())

    def update(self, step: str, text: str) -> None:
        """Print a step's current activity, unless the step is done."""
        self.begin(step)
        if step not in self._completed:
            self._line(" ", step, one_line(text))

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._line("!", "", one_line(text))

    def _line(self, mark: str, step: str, text: str) -> None:
        self._console.print(Text(f"{mark} {step:<{_NAME_WIDTH}}  {text}"), soft_wrap=True)


Progress = Rows | Lines


def progress(console: Console) -> Progress:
    """Return `Rows` for a console that can redraw them, and `Lines` for any other console."""
    return Rows(console) if is_interactive(console) else Lines(console)


class _Mark(SpinnerColumn):
    def render(self, task: Task) -> Text:
        if task.fields["failed"]:
            return Text("✗", "red")
        return Text.assemble(super().render(task))  # type: ignore[arg-type]


class _Seconds(ProgressColumn):
    def render(self, task: Task) -> Text:
        seconds = (task.finished_time if task.finished else task.elapsed) or 0.0
        return Text(f"{seconds:6.1f} s", "cyan")


class RowsFromLog(logging.Handler):
    """A log handler that shows the log records of the run in this process as texts in the rows."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows
        rows.update(_PREFECT, "starts")

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record in the row of the step that logged it, or in the first row if no step logged it.

        Warnings are printed above the rows. Errors are not shown, because the error that ends the run is printed later.
        """
        step, text = getattr(record, "task_name", _PREFECT), record.getMessage()
        if record.name == timing.LOGGER.name and text in {timing.BEGINS, timing.DONE}:
            self._rows.complete(_PREFECT)
            (self._rows.complete if text == timing.DONE else self._rows.begin)(step)
        elif getattr(record, timing.FAILED_STEP, False):
            self._rows.fail(step, text)
        elif record.levelno == logging.WARNING:
            self._rows.warn(text)
        elif record.levelno < logging.WARNING:  # an error ends the run, and is printed then
            self._rows.update(step, text)


@contextmanager
def rows_from_log(console: Console) -> Iterator[None]:
    """Show the log as rows instead of lines while the context is open."""
    root, level = logging.getLogger(), timing.LOGGER.level
    handlers = root.handlers[:]
    with Rows(console) as rows:
        root.handlers[:] = [RowsFromLog(rows)]
        timing.LOGGER.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.handlers[:] = handlers
            timing.LOGGER.setLevel(level)


class RunId(logging.Handler):
    """A log handler that reads the flow run's id from Prefect's records. `str` returns the id; empty while unknown."""

    def __init__(self) -> None:
        super().__init__()
        self._id = ""

    def __str__(self) -> str:
        return self._id

    def __enter__(self) -> Self:
        logging.getLogger("prefect").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("prefect").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Store the flow run's id from the first record that has one."""
        self._id = self._id or str(getattr(record, "flow_run_id", ""))

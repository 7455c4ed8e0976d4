"""A run at a terminal: a row for each step, with its current activity, its result and its seconds."""

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

from flows.outcome import timing as steps
from flows.text_safety import one_line

_BEFORE: Final = "prefect"
"""The row before the first step: without a Prefect server, one has to start, which takes a while."""


def is_interactive(console: Console) -> bool:
    """Whether the console can redraw rows."""
    return console.is_terminal and not console.is_dumb_terminal


class Rows:
    """The rows, redrawn while the context is open; they stay when it ends."""

    def __init__(self, console: Console) -> None:
        now = TextColumn("{task.fields[now]}", style="dim", markup=False, table_column=Column(ratio=1, no_wrap=True))
        name = TextColumn("{task.description}", markup=False, table_column=Column(min_width=12))
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
        """Add a step's row; a step that is tried again keeps its row."""
        if step not in self._rows:
            self._rows[step] = self._progress.add_task(step, total=1, now="", failed=False)

    def complete(self, step: str, said: str = "") -> None:
        """Mark a step as done; its last text stays."""
        if said:
            self.say(step, said)
        self.begin(step)
        self._progress.update(self._rows[step], completed=1)

    def say(self, step: str, text: str) -> None:
        """Show what a step does now; ignore it after the step's end, when only Prefect has something to say."""
        self.begin(step)
        if self._rows[step] in self._open():
            self._progress.update(self._rows[step], now=one_line(text))

    def warn(self, text: str) -> None:
        """Print a line above the rows, which stays."""
        self._progress.console.print(Text(f"! {one_line(text)}", "yellow"), soft_wrap=True)

    def _open(self) -> Iterator[TaskID]:
        yield from (task.id for task in self._progress.tasks if not task.finished)


class Lines:
    """The same for a console that cannot redraw: a line for each message, in order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: dict[str, float] = {}
        self._ended: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, step: str) -> None:
        """Start the step's clock."""
        self._began.setdefault(step, time.monotonic())

    def complete(self, step: str, said: str = "") -> None:
        """Print once that a step is done, and how long it took."""
        self.begin(step)
        if step not in self._ended:
            self._ended.add(step)
            self._line("✓", step, f"{time.monotonic() - self._began[step]:.1f} s  {one_line(said)}".rstrip())

    def say(self, step: str, text: str) -> None:
        """Print what a step does."""
        self.begin(step)
        if step not in self._ended:
            self._line(" ", step, one_line(text))

    def warn(self, text: str) -> None:
        """Print what a person should know."""
        self._line("!", "", one_line(text))

    def _line(self, mark: str, step: str, text: str) -> None:
        self._console.print(Text(f"{mark} {step:<12}  {text}"), soft_wrap=True)


Progress = Rows | Lines


def progress(console: Console) -> Progress:
    """Return rows for a console that can redraw them, and lines for any other."""
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
    """Feeds the rows from the log records of the run that this process executes."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows
        rows.say(_BEFORE, "starts")

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record: the beginning, the end or a message of a step; outside of steps, a warning."""
        step, text = getattr(record, "task_name", _BEFORE), record.getMessage()
        if record.name == steps.LOGGER.name and text in {steps.BEGINS, steps.DONE}:
            self._rows.complete(_BEFORE)
            (self._rows.complete if text == steps.DONE else self._rows.begin)(step)
        elif record.levelno == logging.WARNING:
            self._rows.warn(text)
        elif record.levelno < logging.WARNING:  # an error ends the run, and is printed at its end
            self._rows.say(step, text)


@contextmanager
def rows_from_log(console: Console) -> Iterator[None]:
    """Show the log as rows instead of lines while the context is open."""
    root, level = logging.getLogger(), steps.LOGGER.level
    handlers = root.handlers[:]
    with Rows(console) as rows:
        root.handlers[:] = [RowsFromLog(rows)]
        steps.LOGGER.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.handlers[:] = handlers
            steps.LOGGER.setLevel(level)


class RunId(logging.Handler):
    """Reads the flow run's id from Prefect's records while the context is open; empty until there is one."""

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
        """Keep the id."""
        self._id = self._id or str(getattr(record, "flow_run_id", ""))

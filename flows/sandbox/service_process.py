"""Runs the process of one service, logs its output, and notices its end."""

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Final

from flows.sandbox.output import OutputLog
from flows.sandbox.processes import kill_group, track_process
from flows.sandbox.shell import drain_output, read_output

_JOIN_SECONDS: Final = 10
_PAUSE_SECONDS: Final = 0.01


class ServiceProcess:
    """The process of one service.

    A thread starts the process, reads its output and waits for its end. The thread has to live as long as the process:
    the parent-death signal of prctl(2) is sent when the thread that started the process ends.

    Args:
        name: The name of the service.
        command: The command line.
        environment: All environment variables of the process.
        folder: The directory in which the process starts.
        log: Called with each line of the output.
        warn: Called with a text when the process ends, unless `is_stopping` is set.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.name = name
        self.is_stopping = False
        self._command, self._environment, self._folder = command, environment, folder
        self._output = OutputLog(lambda line: log(f"{name}: {line}"))
        self._warn = warn
        self._status: int | None = None
        self._error: OSError | None = None
        self._has_started, self._has_ended = threading.Event(), threading.Event()
        run = copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name=f"service {name}", daemon=True)

    def start(self) -> None:
        """Start the process; raise `OSError` if that is impossible."""
        self._thread.start()
        self._has_started.wait()
        if self._error is not None:
            raise self._error

    def join(self) -> None:
        """Wait until the end of the process, which was killed, has been noticed."""
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended. What it left in the background does not count."""
        return self._has_ended.is_set()

    @property
    def failure(self) -> str:
        """How the process ended, with its last lines."""
        status = self._status or 0
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        reason = "" if status else ", although it has to stay in the foreground"
        return f"{how}{reason}. {self.last_lines}"

    @property
    def last_lines(self) -> str:
        """The last lines of the output, with an introduction."""
        lines = self._output.last_lines
        return f"Its last lines:\n{lines}" if lines else "The service printed nothing."

    def _run(self) -> None:
        try:
            process = subprocess.Popen(
                self._command,
                env=dict(self._environment),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._error = error
            return
        finally:
            self._has_started.set()
        self._watch(process)

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        with track_process(process), process.stdout as output:
            read_output(process, output.fileno(), float("inf"), self._take)
            kill_group(process)
            self._status = process.wait()
            drain_output(output.fileno(), self._take)
        self._output.close()
        self._has_ended.set()
        if not self.is_stopping:
            self._warn(f"the service {self.name} {self.failure}")

    def _take(self, data: bytes) -> None:
        self._output.write(data)
        if data and self._output.is_full:
            time.sleep(_PAUSE_SECONDS)  # a service that floods its output must not keep the flow's process busy

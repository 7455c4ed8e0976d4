"""The container's own way in: `python -m flows`, with the run's parameters in environment variables.

What the run does is shown on standard error: rows that move on a terminal, Prefect's log lines elsewhere. Standard
output has the outcome: a line, or one JSON object.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from flows.errors import RunError
from flows.parameters import environment as variables
from flows.runtime.startup import end_without_heartbeats, importing, send_events
from flows.text_safety import sanitize

if TYPE_CHECKING:
    from flows.outcome.result import Delivery

COMPLETED: Final = 0
FAILED: Final = 1
INVALID: Final = 2
_SIGNALLED: Final = 128
"""A shell adds a signal's number to this."""

_HELP: Final = f"""\
Claude Code, headless: clones a git repository, downloads instructions from S3, lets Claude Code implement them, and
pushes the result as a branch. Set PROCESS_REQUIREMENTS=true and these variables, and start again:

  PROCESS_REQUIREMENTS       true to work; anything else prints this
{variables.table()}

AWS and Anthropic credentials are read the usual way (a role, AWS_ACCESS_KEY_ID…, ANTHROPIC_API_KEY). An empty variable
counts as not set. PREFECT_API_URL names the Prefect server that shows the run; without it one runs for this run only.

Exit status:
  0    completed: the branch is pushed, or there was nothing to change; or this help was asked for
  1    the run failed: the error's name and what to do are the last line
  2    a variable or an option is missing or wrong: nothing was started
  130  interrupted by Ctrl-C: the agent was ended, and its work so far is kept
  143  stopped, as by docker stop: likewise
"""


@dataclass
class Outcome:
    """What `--json` prints; what is not known, or does not apply, is empty."""

    outcome: str
    """completed, no_changes, failed, invalid or interrupted."""
    flow_run_id: str = ""
    repo_url: str = ""
    branch: str = ""
    commit: str = ""
    files: tuple[str, ...] = ()
    cost_usd: float | None = None
    turns: int | None = None
    summary: str = ""
    kept_in: str = ""
    """Where the run's report, transcript and change are."""
    error: dict[str, str] | None = None
    """Name and message."""


def main(arguments: list[str] | None = None) -> int:
    """Run the flow in this process, or say how; return the exit status."""
    parser = argparse.ArgumentParser(
        "python -m flows", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object on standard output")
    given = parser.parse_args(arguments)
    if os.environ.get("PROCESS_REQUIREMENTS") != "true" and not given.json:
        parser.print_help()
        return COMPLETED
    status, outcome = _process_requirements()
    _print(outcome, as_json=given.json)
    return status


def _process_requirements() -> tuple[int, Outcome]:
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    try:
        if os.environ.get("PROCESS_REQUIREMENTS") != "true":
            raise variables.InvalidVariable("PROCESS_REQUIREMENTS is not true: nothing was started")
        given = variables.parameters(os.environ)
        with importing():
            from flows.implement import implement  # noqa: PLC0415 (Prefect takes a second to import)
            from flows.run.preload import warm_up  # noqa: PLC0415
            from flows.run.setup import validate  # noqa: PLC0415

        validate(given)
        warm_up()
    except RunError as error:
        return INVALID, _failure("invalid", error)
    return _run(implement, given)


def _run(flow: Callable[..., Any], given: dict[str, Any]) -> tuple[int, Outcome]:
    from rich.console import Console  # noqa: PLC0415 (the help does without)

    from flows.reporting.terminal import RunId, is_interactive, rows_from_log  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    end_without_heartbeats()
    with RunId() as run_id, _one_interrupt():
        try:
            with rows_from_log(console) if is_interactive(console) else nullcontext():
                _start_server()
                delivery: Delivery = flow(**given)
        except KeyboardInterrupt as interrupt:
            number = interrupt.args[0] if interrupt.args else signal.SIGINT
            return _SIGNALLED + number, Outcome("interrupted", str(run_id), kept_in=_kept_in(str(run_id)))
        except Exception as error:  # noqa: BLE001 (the one place where a run's failure becomes an exit status)
            failure = _failure("failed", error)
            failure.flow_run_id, failure.kept_in = str(run_id), _kept_in(str(run_id))
            return FAILED, failure
        finally:
            if str(run_id):
                send_events()
    name = "completed" if delivery.commit else "no_changes"
    return COMPLETED, Outcome(name, str(run_id), **asdict(delivery), kept_in=_kept_in(str(run_id)))


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """Let Ctrl-C, or what stops a container, interrupt once: again would break off what keeps the agent's work."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            print("\ninterrupted: ending the agent, and keeping what it did (Ctrl-\\ breaks this off)", file=sys.stderr)
        raise KeyboardInterrupt(number)

    # While the flow runs Prefect takes SIGTERM itself, and hands it on when it has ended the run.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_server() -> None:
    """Have Prefect start its own server where none is configured; it hears no Ctrl-C, for it is to hear of the end."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        get_client(sync_client=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _kept_in(flow_run_id: str) -> str:
    """Return where the run's files are: below a local directory, or in the block that is Prefect's result storage."""
    from prefect.settings import get_current_settings  # noqa: PLC0415

    results = get_current_settings().results
    place = results.default_storage_block or results.local_storage_path
    return f"{place}/claude-code-headless/{flow_run_id}" if flow_run_id else ""


def _failure(outcome: str, error: Exception) -> Outcome:
    message = sanitize(variables.with_variables(str(error)))
    return Outcome(outcome, error={"name": type(error).__name__, "message": message})


def _print(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(outcome)))
    if outcome.error:
        print(f"{outcome.error['name']}: {outcome.error['message']}", file=sys.stderr)
    elif outcome.outcome == "interrupted":
        print(
            f"interrupted: the agent was ended; what it had changed, if anything, is in {outcome.kept_in}: git fetch "
            f"its change.bundle, or have the flow deliver push it (flow_run_id={outcome.flow_run_id})",
            file=sys.stderr,
        )
    elif not as_json and outcome.commit:
        print(f"completed: branch {outcome.branch} commit {outcome.commit}")
    elif not as_json:
        print(f"completed: nothing to change, branch {outcome.branch} was not pushed")


if __name__ == "__main__":
    sys.exit(main())

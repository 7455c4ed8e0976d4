"""Defines the command of the container, `python -m flows`. Environment variables hold the run's parameters.

Standard error shows the progress of the run: on a terminal as rows that are redrawn, otherwise as Prefect's log lines.
Standard output contains the result, as one line or as one JSON object.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import FrameType
from typing import Any, Final

from flows.errors import RunError
from flows.outcome.result import COMPLETED, INVALID, Failure, Outcome, RunResult, last_words
from flows.parameters import environment as variables
from flows.parameters.follow_up import OWN, FollowUpParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.preflight import check_provider, checked_parameters
from flows.runtime.last_lines import print_result
from flows.runtime.setup_command import check_setup, try_setup
from flows.runtime.startup import end_without_heartbeats, importing, send_events
from flows.state.files import FOLDER
from flows.text_safety import sanitize

_FOLLOW_UP: Final = "follow_up"
_HELP: Final = f"""\
Claude Code, headless: clones a git repository, downloads instructions from S3, lets Claude Code implement them, and
pushes the result as a branch. Set PROCESS_REQUIREMENTS=true and the variables below, and run the command again. With
--check, the command only checks the variables. To try a repository's setup command without a model, run
python -m flows setup; to try its verify commands as well, run python -m flows verify. To follow up on the review of a
pull request that a run has opened, run python -m flows follow_up with the variables at the end.

  PROCESS_REQUIREMENTS       true starts the run; anything else prints this help
{variables.table()}

AWS and Anthropic credentials are read the usual way (a role, AWS_ACCESS_KEY_ID…, ANTHROPIC_API_KEY). An empty variable
counts as not set. PREFECT_API_URL names the Prefect server that shows the run; without it a temporary one is started.

python -m flows follow_up has these variables, and those above that are not about the repository, the branches, the
instructions and the pull request. What is not set is as in the run that is continued.

{variables.table(FollowUpParameters, only=OWN)}

Exit status:
  0    completed: the branch is pushed, reviewers were answered, or there was nothing to change; also if this help was
       printed
  1    the run failed: the last line has the error's name and says what to do
  2    a variable or an option is missing or wrong: nothing was started
  130  interrupted by Ctrl-C: the agent was stopped, and its work so far is saved
  143  stopped, for example by docker stop: the agent was stopped, and its work so far is saved
"""

_SERVER_START_SECONDS: Final = "120"
"""The time limit, in seconds, for the start of Prefect's temporary server. Prefect's default, 20, is too short on a
busy machine."""


def main(arguments: list[str] | None = None) -> int:
    """Run the flow in this process, check the environment variables, or print the help. Return the exit status."""
    _forget_empty_variables()
    parser = argparse.ArgumentParser(
        "python -m flows", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["setup", "verify", _FOLLOW_UP],
        help="setup only clones the repository and runs its setup command; verify also runs its verify commands; "
        "follow_up continues the branch of a run with what reviewers ask for",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")
    choice.add_argument(
        "--check", action="store_true", help="check all variables and credentials without starting a run"
    )
    options = parser.parse_args(arguments)
    if options.check:
        return _check(options.command)
    if options.command in {"setup", "verify"}:
        return try_setup(verifies=options.command == "verify", as_json=options.json)
    if options.command is None and not options.json and not _is_start_requested():
        parser.print_help()
        return COMPLETED
    status, result = _start(options.command)
    # Our line must be the last one, and Prefect's temporary server logs when it stops with this process.
    logging.getLogger("prefect").setLevel(logging.WARNING)
    print_result(result, as_json=options.json)
    return status


def _forget_empty_variables() -> None:
    """Remove the empty variables of Prefect. For Prefect, an empty PREFECT_API_URL is the address of a server."""
    for name in [name for name, value in os.environ.items() if name.startswith("PREFECT_") and not value.strip()]:
        del os.environ[name]


def _is_start_requested() -> bool:
    """Return whether PROCESS_REQUIREMENTS asks for a run. If it does not, the command prints its help.

    The result is also True for an unclear value such as `yes`. The start of the run then refuses the value with a
    message.
    """
    try:
        return variables.asks_to_start(os.environ)
    except variables.InvalidVariable:
        return True


def _start(command: str | None) -> tuple[int, RunResult]:
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", _SERVER_START_SECONDS)
    try:
        if command is None and not variables.asks_to_start(os.environ):
            raise variables.InvalidVariable("PROCESS_REQUIREMENTS is not true: nothing was started; set it to true")
        parameters = _checked_parameters(command)
        with importing():  # Prefect takes a second to import
            if command == _FOLLOW_UP:
                from flows.follow_up import follow_up as flow  # noqa: PLC0415
            else:
                from flows.implement import implement as flow  # noqa: PLC0415
            from flows.run.preload import preload  # noqa: PLC0415

        preload()
    except RunError as error:
        return _with_exit_status(RunResult(Outcome.INVALID, error=_failure(error, command)))
    return _run(flow, parameters, command)


def _checked_parameters(command: str | None) -> dict[str, Any]:
    """Return the checked parameters of a flow. What a follow-up leaves out is not known before its run starts."""
    parameters = checked_parameters(os.environ, _model(command))
    if command is None:
        check_provider(parameters)
    return parameters


def _model(command: str | None) -> type[FollowUpParameters | ImplementParameters]:
    return FollowUpParameters if command == _FOLLOW_UP else ImplementParameters


def _check(command: str | None) -> int:
    """Check what a command checks before it connects to a server, and print the result. Return the exit status."""
    starts_run = command in {None, _FOLLOW_UP}
    try:
        if starts_run:
            _checked_parameters(command)
        names = variables.names_set(os.environ, _model(command)) if starts_run else check_setup()
    except RunError as error:
        print(last_words(_failure(error, command)), file=sys.stderr)
        return INVALID
    rest = "is as in the run that is continued" if command == _FOLLOW_UP else "has its default"
    print(f"valid: {', '.join(names)}; every other parameter {rest}. Nothing was started.")
    if command is None:
        print("To check AWS, the git host, the model and Prefect as well, run: python -m deployments doctor")
    return COMPLETED


def _run(flow: Callable[..., Any], parameters: dict[str, Any], command: str | None) -> tuple[int, RunResult]:
    from rich.console import Console  # noqa: PLC0415 (the help does not need it)

    from flows.reporting.terminal import RunId, is_interactive, rows_from_log  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    end_without_heartbeats()
    with RunId() as run_id, _one_interrupt():
        try:
            with rows_from_log(console) if is_interactive(console) else nullcontext():
                _start_server()
                result: RunResult = flow(**parameters)
        except KeyboardInterrupt as interrupt:
            signal_number = interrupt.args[0] if interrupt.args else signal.SIGINT
            return _with_exit_status(RunResult(Outcome.INTERRUPTED, str(run_id)), signal_number)
        except Exception as error:  # noqa: BLE001 (the one place where a run's failure becomes an exit status)
            failed = error.result if isinstance(error, RunError) else None
            result = failed if isinstance(failed, RunResult) else RunResult(Outcome.of_error(error), str(run_id))
            return _with_exit_status(replace(result, error=_failure(error, command)))
        finally:
            if str(run_id):
                send_events()
    return _with_exit_status(result)


def _with_exit_status(result: RunResult, signal_number: int = 0) -> tuple[int, RunResult]:
    """Return the exit status, and a copy of the result that also says where the run's files are saved."""
    return result.outcome.exit_status + signal_number, replace(result, saved_in=_saved_in(result.flow_run_id))


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """Interrupt the run at the first SIGINT or SIGTERM. Ignore later ones, which would stop the saving of work."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        for handled_signal in handlers:
            signal.signal(handled_signal, signal.SIG_IGN)
        if number == signal.SIGINT:
            print("\ninterrupted: ending the agent and saving its work (Ctrl-\\ quits without saving)", file=sys.stderr)
        raise KeyboardInterrupt(number)

    # While the flow runs, Prefect handles SIGTERM itself. It raises the signal again after it has ended the run.
    handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _start_server() -> None:
    """Block SIGINT, and let Prefect start a temporary server if no server is configured.

    The server's process inherits the blocked signal. Ctrl-C therefore does not stop the server before the run has
    reported its result.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        get_client(sync_client=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _saved_in(flow_run_id: str) -> str:
    """Return the path of the run's saved files in a local directory or a storage block; empty if no run was started."""
    if not flow_run_id:
        return ""
    from prefect.settings import get_current_settings  # noqa: PLC0415

    results = get_current_settings().results
    storage = results.default_storage_block or results.local_storage_path
    return f"{storage}/{FOLDER}/{flow_run_id}"


def _failure(error: Exception, command: str | None) -> Failure:
    return Failure(type(error).__name__, sanitize(variables.with_variables(str(error), _model(command))))


if __name__ == "__main__":
    sys.exit(main())

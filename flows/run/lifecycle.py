"""Opening and closing a run: from the check of its parameters to its report, however it ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed

from flows.outcome.result import RunResult
from flows.outcome.summary import RunSummary, headline
from flows.outcome.timing import StepTimes, record_steps
from flows.parameters.deliver import DeliverParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.signature import RawParameters
from flows.redaction import SECRETS
from flows.reporting.artifacts import publish, set_tags
from flows.repository.collect import Change
from flows.run.lease import check_lease, newest_attempt
from flows.run.preload import preload
from flows.run.run import ImplementRun, Run
from flows.run.setup import redact_secrets, run_store, set_up, set_up_delivery
from flows.run.summary import deployment_name, refusal_summary, run_summary, save_transcript_page
from flows.sandbox.workspace import workspace
from flows.state.store import RunStore
from flows.text_safety import one_line

_JOIN_SECONDS: Final = 5
_First = TypeVar("_First")
_Second = TypeVar("_Second")


@contextmanager
def open_run(parameters: RawParameters[ImplementParameters]) -> Iterator[ImplementRun]:
    """Open a run of `implement`, with what earlier attempts of it saved.

    Raises:
        RunError: A parameter is wrong, or a credential is missing: the named error says which.
    """
    with SECRETS.of_run(), workspace() as directories:
        redact_secrets()
        steps = record_steps()
        with _reported(partial(_report_refusal, parameters, steps), is_over=False):
            run = set_up(parameters, directories, steps)
        with _reported(partial(_report, run)), newest_attempt(run.saved.store), _introduced(run):
            run.saved.load(get_run_logger())
            preload()
            yield run


@contextmanager
def open_saved_run(parameters: RawParameters[DeliverParameters]) -> Iterator[Run]:
    """Open the saved state of another run, to deliver its change.

    Raises:
        NoSavedChange: That run has saved no change here.
    """
    with SECRETS.of_run(), workspace() as directories:
        redact_secrets()
        run = set_up_delivery(parameters.checked(), directories)
        yield run
        with _at_most_a_warning():
            summary = run_summary(run)
            tags = [summary.outcome.tag, f"repo:{run.request.repo_url.name}", f"branch:{run.request.branch_name}"]
            publish(summary, None, tags)


def completed(run: Run, change: Change) -> State[RunResult]:
    """Return the state of a run that came to its end."""
    report = run.saved.finished.report if run.saved.finished else None
    summary = RunSummary(
        str(runtime.flow_run.id), repo_url=run.request.repo_url, checkout=change.checkout, change=change, agent=report
    )
    return Completed(name=summary.outcome.state_name, message=one_line(headline(summary)), data=summary.result)


def in_parallel(first: PrefectFuture[_First], second: PrefectFuture[_Second]) -> tuple[_First, _Second]:
    """Wait until both steps have ended, since neither may outlive the directories; return their results."""
    futures: list[PrefectFuture[Any]] = [first, second]
    wait(futures)
    return first.result(), second.result()


@contextmanager
def _reported(report: Callable[[BaseException | None], None], *, is_over: bool = True) -> Iterator[None]:
    """Report how the context ended.

    Args:
        report: Reports the end, with the error if there was one.
        is_over: Whether to report a context without an error, too.
    """
    try:
        yield
    except Abort:
        raise  # a later attempt of the run has taken over, and reports
    except Exception as error:
        report(error)
        raise
    except BaseException as interruption:
        _in_the_moment_left(partial(report, interruption))
        raise
    if is_over:
        report(None)


def _report_refusal(
    parameters: RawParameters[ImplementParameters], steps: StepTimes, error: BaseException | None
) -> None:
    with _at_most_a_warning():
        summary = refusal_summary(parameters.raw, steps, error)
        publish(summary, _store_of_refused_run(), [summary.outcome.tag])


def _report(run: ImplementRun, error: BaseException | None) -> None:
    with _at_most_a_warning():
        if error is not None and not isinstance(error, Exception):
            run = replace(run, saved=run.saved.without_retries)
            check_lease(run.saved.store)
        save_transcript_page(run)
        summary = run_summary(run, error)
        publish(summary, run.saved.store, [summary.outcome.tag, *_tags(run)])


def _in_the_moment_left(report: Callable[[], None]) -> None:
    """Report a run that was interrupted; its work is saved by now."""
    thread = threading.Thread(target=copy_context().run, args=(report,), name="report", daemon=True)
    thread.start()
    thread.join(_JOIN_SECONDS)


@contextmanager
def _at_most_a_warning() -> Iterator[None]:
    """Turn any error of a report into a warning: the run's outcome does not depend on it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (a git command, a file, a fault of this program)
        get_run_logger().warning("there is no report: %s: %s", type(error).__name__, error)


@contextmanager
def _introduced(run: ImplementRun) -> Iterator[None]:
    """Tag the run, and look up its deployment's name, while it works."""

    def introduce() -> None:
        with suppress(Exception):  # the report does both again, and warns
            set_tags(_tags(run))
            deployment_name()  # which Prefect remembers

    thread = threading.Thread(target=copy_context().run, args=(introduce,), name="tags", daemon=True)
    thread.start()
    yield
    thread.join(_JOIN_SECONDS)


def _tags(run: ImplementRun) -> list[str]:
    is_named = runtime.flow_run.parameters.get("branch_name")
    branch = [f"branch:{run.request.branch_name}"] if is_named else []
    return [f"model:{run.agent.options.model_id}", f"repo:{run.request.repo_url.name}", *branch]


def _store_of_refused_run() -> RunStore | None:
    try:
        return run_store(str(runtime.flow_run.id))
    except Exception:  # noqa: BLE001 (the store may be the reason for the refusal; the report is published anyway)
        return None

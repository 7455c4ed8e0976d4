"""Opens and closes a run: checks its parameters at the start, and reports its outcome at the end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort, PrefectException
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed
from pydantic import BaseModel

from flows.errors import RunError, named_error
from flows.outcome.result import RunResult
from flows.outcome.summary import RunSummary, headline
from flows.outcome.timing import StepTimes, record_steps
from flows.outcome.verification import tag
from flows.parameters.deliver import DeliverParameters
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.signature import RawParameters
from flows.redaction import SECRETS
from flows.reporting.artifacts import publish, set_tags
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.run.branch_lock import hold_branch
from flows.run.feedback import feedback_to
from flows.run.follow_up import set_up_follow_up
from flows.run.lease import check_lease, hold_lease
from flows.run.preload import preload
from flows.run.rounds import forget_faults_of_the_machine
from flows.run.run import DeliverRun, FollowUpRun, ImplementRun, Run
from flows.run.setup import redact_secrets, run_store, set_up, set_up_delivery
from flows.run.summary import (
    deployment_name,
    refusal_summary,
    result_of_failure,
    run_summary,
    save_transcript_page,
    short_summary,
)
from flows.sandbox.workspace import Workspace, workspace
from flows.text_safety import one_line

_JOIN_SECONDS: Final = 5
_COST: Final = "the model cost "
_Report = Callable[[BaseException | None], None]
_Model = TypeVar("_Model", bound=BaseModel)
_Run = TypeVar("_Run", bound=ImplementRun)
_First = TypeVar("_First")
_Second = TypeVar("_Second")


def open_run(parameters: RawParameters[ImplementParameters]) -> AbstractContextManager[ImplementRun]:
    """Open a run of `implement`, and load what its earlier attempts saved.

    Raises:
        RunError: A parameter is invalid or a credential is missing. The error's class names the problem.
    """
    return _open(parameters, set_up, lambda _: nullcontext())


def open_follow_up(parameters: RawParameters[FollowUpParameters]) -> AbstractContextManager[FollowUpRun]:
    """Open a run of `follow_up`, and load what its earlier attempts saved.

    Raises:
        RunError: A parameter is invalid, or the run that is continued is not known here.
        FollowUpInProgress: Another run follows up on the same branch.
    """
    return _open(parameters, set_up_follow_up, hold_branch)


@contextmanager
def _open(
    parameters: RawParameters[_Model],
    set_up_run: Callable[[RawParameters[_Model], Workspace, StepTimes], _Run],
    lock: Callable[[_Run], AbstractContextManager[None]],
) -> Iterator[_Run]:
    with SECRETS.run_scope(), _named_errors(), workspace() as directories:
        redact_secrets()
        steps = record_steps()
        with _reporting(partial(_report_refusal, parameters, steps), on_success=False):
            run = set_up_run(parameters, directories, steps)
        with (
            _reporting(partial(_report, run)),
            _naming_cost(run),
            hold_lease(run.saved.store),
            lock(run),
            _tagging(run),
        ):
            run.saved.load(get_run_logger())
            if run.saved.plan or runtime.flow_run.run_count > 1:
                run.feedback.extend(feedback_to(str(runtime.flow_run.id)))
            forget_faults_of_the_machine(run)
            preload()
            yield run


@contextmanager
def open_saved_run(parameters: RawParameters[DeliverParameters]) -> Iterator[DeliverRun]:
    """Open the saved state of another run, to deliver its change.

    Raises:
        NoSavedChange: The run store has no saved change of the other run.
    """
    with SECRETS.run_scope(), _named_errors(), workspace() as directories:
        redact_secrets()
        steps = record_steps()
        with _reporting(partial(_report_refusal, parameters, steps, has_store=False), on_success=False):
            run = set_up_delivery(parameters.checked(), directories, steps)
            if run.request.pull_request.is_wanted:
                run.feedback.extend(feedback_to(run.saved.store.flow_run_id))
        with _reporting(partial(report_delivery, run, None), on_success=False):
            yield run


def report_delivery(run: DeliverRun, change: Change | None, error: BaseException | None = None) -> None:
    """Publish the report of a delivery: of its change if it succeeded, or of the error that ended it."""
    with _at_most_a_warning():
        summary = run_summary(run, error, change or next(iter(run.applied), None))
        tags = [
            summary.outcome.tag,
            *_verified_tags(summary),
            *_pull_request_tags(summary),
            f"repo:{run.request.repo_url.name}",
            f"branch:{run.request.branch_name}",
        ]
        publish(summary, None, tags)


def completed(run: Run, change: Change) -> State[RunResult]:
    """Return the Prefect state of a run that ended without an error."""
    summary = short_summary(run, change)
    return Completed(name=summary.outcome.state_name, message=one_line(headline(summary)), data=summary.result)


def nothing_new(run: FollowUpRun) -> State[RunResult]:
    """Return the Prefect state of a follow-up that nobody has asked for anything."""
    branch, head = run.request.branch_name, run.record.head
    return completed(run, Change("", Checkout(branch, branch, head)))


def in_parallel(first: PrefectFuture[_First], second: PrefectFuture[_Second]) -> tuple[_First, _Second]:
    """Wait until two steps have ended, and return their results.

    If one step fails, still wait for the other, because no step may run when the run's directories are removed.
    """
    futures: list[PrefectFuture[Any]] = [first, second]
    wait(futures)
    return first.result(), second.result()


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn every error in the context into a `RunError`, except Prefect's own errors.

    Prefect stores the text of errors, and only a `RunError` redacts its text.
    """
    try:
        yield
    except (RunError, PrefectException):
        raise
    except Exception as error:
        raise named_error(error) from error


@contextmanager
def _reporting(report: _Report, *, on_success: bool = True) -> Iterator[None]:
    """Call `report` when the context ends.

    Args:
        report: The function to call. Its argument is the error that ended the context, or None.
        on_success: Whether to call `report` if there was no error, too.
    """
    try:
        yield
    except Abort:
        raise  # a later attempt of the run has taken over, and reports
    except Exception as error:
        report(error)
        raise
    except BaseException as interruption:
        # The work is saved already, and the process may have only a moment left.
        _start_thread("report", partial(report, interruption)).join(_JOIN_SECONDS)
        raise
    if on_success:
        report(None)


@contextmanager
def _naming_cost(run: ImplementRun) -> Iterator[None]:
    """If the context raises an error after an agent has started, add the cost of the model to the error's message."""
    try:
        yield
    except RunError as error:
        cost = _cost(run)
        if cost and _COST not in str(error):
            sentence, newline, output = str(error).partition("\n")
            text = f"{sentence.removesuffix('.')} ({_COST}{cost})." if newline else f"{sentence} ({_COST}{cost})"
            error.args = (f"{text}{newline}{output}",)
        raise


def _cost(run: ImplementRun) -> str:
    """Return the cost of the model over all attempts of the run; empty if no agent has started."""
    if run.agent.session_id:
        meter = run.agent.meter
        return f"{'' if meter.is_exact else 'at most '}${meter.spent_usd:.4f}"
    report = run.saved.finished.report if run.saved.finished else None
    return f"${report.cost_usd:.4f}" if report else ""


def _report_refusal(
    parameters: RawParameters[Any], steps: StepTimes, error: BaseException | None, *, has_store: bool = True
) -> None:
    with _at_most_a_warning():
        store = None
        with suppress(Exception):  # the store may be the reason for the refusal; the report is published anyway
            store = run_store(str(runtime.flow_run.id)) if has_store else None
        summary = refusal_summary(parameters.raw, steps, error)
        publish(summary, store, [summary.outcome.tag])


def _report(run: ImplementRun, error: BaseException | None) -> None:
    with _at_most_a_warning():
        if error is not None and not isinstance(error, Exception):
            run = replace(run, saved=run.saved.without_retries)
            check_lease(run.saved.store)
        save_transcript_page(run)
        summary = run_summary(run, error)
        if isinstance(error, RunError):
            error.result = error.result or result_of_failure(summary)
        publish(
            summary,
            run.saved.store,
            [summary.outcome.tag, *_verified_tags(summary), *_pull_request_tags(summary), *_tags(run)],
        )


def _start_thread(name: str, function: Callable[[], None]) -> threading.Thread:
    """Start and return a daemon thread with a copy of this thread's context: Prefect's run and the known secrets."""
    thread = threading.Thread(target=copy_context().run, args=(function,), name=name, daemon=True)
    thread.start()
    return thread


@contextmanager
def _at_most_a_warning() -> Iterator[None]:
    """Log any error in the context as a warning, because the run's outcome does not depend on the report."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (a git command, a file, a fault of this program)
        get_run_logger().warning("the run's report could not be published: %s: %s", type(error).__name__, error)


@contextmanager
def _tagging(run: ImplementRun) -> Iterator[None]:
    """Start a thread that tags the run and looks up its deployment's name, while the context does the run's work."""

    def tag_run() -> None:
        with suppress(Exception):  # the report does both again, and warns if it fails
            set_tags(_tags(run))
            deployment_name()  # Prefect caches the name

    thread = _start_thread("tags", tag_run)
    yield
    thread.join(_JOIN_SECONDS)


def _verified_tags(summary: RunSummary) -> list[str]:
    return list(filter(None, [tag(summary.status)])) if summary.status else []


def _pull_request_tags(summary: RunSummary) -> list[str]:
    result = summary.pull_request
    return [f"pull-request:{result.url}"] if result and result.url else []


def _tags(run: ImplementRun) -> list[str]:
    names_branch = isinstance(run, FollowUpRun) or runtime.flow_run.parameters.get("branch_name")
    branch = [f"branch:{run.request.branch_name}"] if names_branch else []
    return [f"model:{run.agent.options.model_id}", f"repo:{run.request.repo_url.name}", *branch]

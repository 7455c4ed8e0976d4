"""The end of a run: here, and nowhere else, it is known what became of it, and told."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Final

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Completed

from flows.outcome.result import Delivery, Ending, headline
from flows.outcome.timing import StepTime, note_steps
from flows.parameters.request import Request
from flows.reporting.artifacts import publish, set_tags
from flows.repository.collect import Change, patch
from flows.run.lease import check_execution
from flows.run.setup import Run, begin, keep_secrets, run_store
from flows.run.summary import deployment_name, known_ending
from flows.run.transcript_page import keep_page
from flows.sandbox.workspace import Workspace
from flows.state.records import Plan
from flows.state.store import RunStore
from flows.text_safety import one_line, sanitize

_JOIN_SECONDS: Final = 5


@contextmanager
def concluded(given: Mapping[str, Any], workspace: Workspace) -> Iterator[Run]:
    """A run from the check of its parameters to its report, whatever becomes of it."""
    keep_secrets()
    steps, run = note_steps(), None
    try:
        run = begin(given, workspace)
        introduction = _introduce(run)
        yield run
    except Exception as error:
        _conclude(run, given, steps, error)
        raise
    except Abort:
        raise  # a later execution of the run has taken over, and tells of it
    except BaseException as interruption:
        _conclude_soon(run, given, steps, interruption)
        raise
    introduction.join(_JOIN_SECONDS)
    _conclude(run, given, steps)


def completed(run: Run) -> State[Delivery]:
    """Return the state of a run that came to its end."""
    assert run.work is not None  # noqa: S101 (it is, where nothing was raised)
    change, agent = run.work.change, run.work.report
    delivery = Delivery(
        repo_url=run.request.repo_url.url,
        branch=change.checkout.branch,
        commit=change.commit,
        files=tuple(file.path for file in change.files),
        cost_usd=agent.cost_usd,
        turns=agent.turns,
        summary=sanitize(agent.summary),
    )
    said = one_line(headline(Ending(run.store.flow_run_id, checkout=change.checkout, change=change)))
    return Completed(name="Completed" if change.commit else "NoChanges", message=said, data=delivery)


def delivered(
    request: Request, workspace: Workspace, plan: Plan, change: Change, steps: Mapping[str, StepTime]
) -> None:
    """Tell of a kept change that was pushed later, as the run that made it would have."""
    with _at_most_a_warning():
        ending = Ending(
            flow_run_id=str(runtime.flow_run.id),
            deployment=deployment_name(),
            repo_url=request.repo_url,
            checkout=change.checkout,
            instructions=plan.instructions,
            change=change,
            patch=patch(workspace.clean_git, change),
            steps=tuple(steps.values()),
            policy=request.policy,
        )
        tags = [f"outcome:{ending.name}", f"repo:{request.repo_url.name}", f"branch:{request.branch_name}"]
        publish(ending, None, tags)


def _conclude(
    run: Run | None, given: Mapping[str, Any], steps: Mapping[str, StepTime], error: BaseException | None = None
) -> None:
    """Tell what became of the run."""
    with _at_most_a_warning():
        if run:
            _keep_page(run)
        ending = known_ending(run, given, steps, error)
        publish(ending, run.store if run else _store(), [f"outcome:{ending.name}", *_tags(run)])


@contextmanager
def _at_most_a_warning() -> Iterator[None]:
    """Whatever goes wrong with a report is a warning, for the run is as it is."""
    try:
        yield
    except Exception as fault:  # noqa: BLE001 (a git command, a file, a fault of ours)
        get_run_logger().warning("there is no report: %s: %s", type(fault).__name__, fault)


def _conclude_soon(
    run: Run | None, given: Mapping[str, Any], steps: Mapping[str, StepTime], interruption: BaseException
) -> None:
    """Tell of a run that was interrupted in the moment that is left; its work is kept by now."""

    def tell() -> None:
        with _at_most_a_warning():
            if run:
                run.store = run.store.in_haste
                check_execution(run.store)
            _conclude(run, given, steps, interruption)

    thread = threading.Thread(target=copy_context().run, args=(tell,), name="conclusion", daemon=True)
    thread.start()
    thread.join(_JOIN_SECONDS)


def _keep_page(run: Run) -> None:
    meter, instructions = run.agent and run.agent.meter, run.plan and run.plan.instructions
    facts = {
        "Repository": run.request.repo_url.url,
        "Run": run.store.flow_run_id,
        "Cost": str(meter or ""),
    }
    title = f"{run.request.repo_url.name} @ {run.request.branch_name}"
    keep_page(run.workspace, run.store, title, facts, instructions.main_text if instructions else "")


def _introduce(run: Run) -> threading.Thread:
    """Tag the run while it works, and learn its deployment's name, beside its work."""

    def introduce() -> None:
        with suppress(Exception):  # the end of the run does both again, and warns
            set_tags(_tags(run))
            str(runtime.deployment.name)  # which Prefect asks its API for, and remembers

    thread = threading.Thread(target=copy_context().run, args=(introduce,), name="tags", daemon=True)
    thread.start()
    return thread


def _tags(run: Run | None) -> list[str]:
    if run is None:
        return []
    asked = runtime.flow_run.parameters.get("branch_name")
    branch = [f"branch:{run.request.branch_name}"] if asked else []
    return [f"model:{run.options.model_id}", f"repo:{run.request.repo_url.name}", *branch]


def _store() -> RunStore | None:
    try:
        return replace(run_store(), execution="")  # an execution that came this far has taken nothing over
    except Exception:  # noqa: BLE001 (a run can fail because of it; the report of that is published all the same)
        return None

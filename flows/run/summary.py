"""Summarizes a run at its end, while its directories still exist."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from prefect import get_run_logger, runtime

from flows.agent.no_change import paths_in_work_tree
from flows.agent.outcome import report
from flows.agent.transcript import events, last_result_and_text
from flows.errors import RunError
from flows.outcome.result import RunResult
from flows.outcome.review import ReviewSummary
from flows.outcome.summary import RunSummary
from flows.outcome.timing import StepTimes
from flows.parameters.addresses import RepoUrl
from flows.redaction import redact
from flows.reporting.repetition import RepeatedFailures
from flows.repository.collect import Change, collected_change, patch
from flows.repository.setup import setup_command
from flows.run.rounds import status_of, verification_of, verify_commands
from flows.run.run import FollowUpRun, ImplementRun, Run
from flows.state.agent_report import AgentReport
from flows.state.files import StateFile
from flows.state.records import Plan
from flows.text_safety import sanitize

_TAIL_BYTES: Final = 2**20
_REPORTED: Final = (StateFile.BUNDLE, StateFile.TRANSCRIPT_PAGE, StateFile.TRANSCRIPT, StateFile.PLAN)
"""The files of the run store that a report lists."""


def refusal_summary(parameters: Mapping[str, Any], steps: StepTimes, error: BaseException | None) -> RunSummary:
    """Return the summary of a run that was refused before it started."""
    repo_url = None
    with suppress(RunError):
        repo_url = RepoUrl.parse(str(parameters.get("repo_url", "")))
    return RunSummary(
        str(runtime.flow_run.id), deployment=deployment_name(), repo_url=repo_url, steps=steps.all(), error=error
    )


def run_summary(run: Run, error: BaseException | None = None, change: Change | None = None) -> RunSummary:
    """Return the summary of a run that started.

    Args:
        run: The run.
        error: The error that ended the run, or None.
        change: The change of a delivery; None for the change on the run's branch in the trusted repository.
    """
    summary = RunSummary(
        flow_run_id=str(runtime.flow_run.id),
        change_run_id=_change_run_id(run),
        deployment=deployment_name(),
        repo_url=run.request.repo_url,
        forge=run.request.forge,
        next_parameters=run.request.for_next_run(),
        pull_request=next(iter(run.pull_requests), None),
        steps=run.steps.all(),
        policy=run.request.policy,
        warnings=tuple(_warnings(run)),
        error=error,
    )
    summary = replace(summary, review=review_summary(run))
    if isinstance(run, ImplementRun):
        summary = replace(
            summary,
            model=run.agent.options.model_id,
            limits=run.agent.options.limits,
            feedback=tuple(map(redact, run.feedback)),
            agent=_agent_report(run),
            saved_files={name: run.saved.store.location(name) for name in _REPORTED if name in run.saved.names},
        )
    if run.saved.plan is None:
        return summary
    change = change or _collected_change(run, run.saved.plan)
    setup = setup_command(run.request.verification.setup_command, run.saved.plan.checkout)
    summary = replace(
        summary,
        services=run.agent.services if isinstance(run, ImplementRun) else "",
        setup="; ".join((setup.source, *run.setup_cache)) if setup and isinstance(run, ImplementRun) else "",
        checkout=replace(run.saved.plan.checkout, branch=run.request.branch_name),
        instructions=run.saved.plan.instructions,
        change=change,
        patch=patch(run.workspace.clean_git, change) if change else "",
    )
    return _with_verification(run, summary)


def _change_run_id(run: Run) -> str:
    """Return the id of the run whose change is on the branch: of the earlier one if a follow-up had nothing to do."""
    if isinstance(run, FollowUpRun) and run.saved.plan is None:
        return run.record.run_id
    return run.saved.store.flow_run_id


def short_summary(run: Run, change: Change, error: BaseException | None = None) -> RunSummary:
    """Return the summary for the final state of a run that has finished its work."""
    summary = RunSummary(
        str(runtime.flow_run.id),
        repo_url=run.request.repo_url,
        pull_request=next(iter(run.pull_requests), None),
        checkout=change.checkout,
        change=change,
        agent=run.saved.finished.report if run.saved.finished else None,
        review=review_summary(run),
        error=error,
    )
    return _with_verification(run, summary)


def review_summary(run: Run) -> ReviewSummary | None:
    """Return what a follow-up heard and answered; None if the run is no follow-up, or has not come to it."""
    if not isinstance(run, FollowUpRun) or not run.reviews:
        return None
    [review] = run.reviews
    return ReviewSummary(len(review.comments), len(review.threads), run.answers, review.unheard, len(run.missing))


def result_of_failure(summary: RunSummary) -> RunResult:
    """Return the result of a run that failed. It names a branch, a commit and files only if they are pushed."""
    result = summary.result
    return result if summary.is_pushed else replace(result, branch="", commit="", files=())


def _with_verification(run: Run, summary: RunSummary) -> RunSummary:
    """Return the summary with what is known about its change. An agent that has not finished has no such change."""
    parameters, plan = run.request.verification, run.saved.plan
    commands = verify_commands(run, plan.checkout) if plan else None
    summary = replace(
        summary,
        verify_source=commands.source if commands else "",
        rounds=run.saved.verifications.rounds,
        max_repairs=parameters.max_repairs,
        pushes_failures=isinstance(run, ImplementRun) and parameters.on_verification_failure == "push",
    )
    if summary.change is None or run.saved.finished is None:
        return summary
    return replace(summary, status=status_of(run, summary.change), verification=verification_of(run, summary.change))


def _collected_change(run: Run, plan: Plan) -> Change | None:
    """Return the change on the run's branch; None if the trusted repository does not exist yet."""
    with suppress(RunError):
        change = collected_change(run.workspace.clean_git, plan.checkout)
        return replace(change, left_aside=run.saved.finished.left_aside) if run.saved.finished else change
    return None


def _agent_report(run: ImplementRun) -> AgentReport | None:
    """Return the agent's report; None if no agent has started.

    If the agent did not finish, the report contains the last text that the agent wrote.
    """
    if run.saved.finished:
        return run.saved.finished.report
    if not run.agent.session_id or not run.workspace.transcript.exists():
        return None
    with run.workspace.transcript.open("rb") as file:
        file.seek(max(0, run.workspace.transcript.stat().st_size - _TAIL_BYTES))
        result, text = last_result_and_text(file.read())
    meter = run.agent.meter
    unfinished = report(result, meter.spent_usd, meter.cache)
    unfinished = replace(unfinished, denied_paths=paths_in_work_tree(unfinished.denied_paths, run.workspace.work_tree))
    return replace(unfinished, summary=unfinished.summary or sanitize(text), turns=unfinished.turns or meter.replies)


def _warnings(run: Run) -> Iterator[str]:
    yield from run.warnings
    if not isinstance(run, ImplementRun):
        return
    if reason := run.workspace.agent.missing_isolation:
        yield f"the agent was not isolated from the flow's process: {reason}"
    if run.agent.warning:
        yield run.agent.warning
    if repeated := _repeated_failure(run):
        yield f"the agent did not get past a failing call: {repeated}"
    if run.agent.session_id and not run.agent.meter.is_exact:
        yield "the cost is an upper bound: the model's price is not known, or a reply was cut off"


def _repeated_failure(run: ImplementRun) -> str:
    """Return a text: the call that failed most often in the same way, and how often; empty if no call failed often."""
    failures = RepeatedFailures()
    with suppress(OSError):  # no agent has started
        for event in events(run.workspace.transcript):
            failures.notice(event)
    return failures.most.replace(f"{run.workspace.work_tree}/", "")


def save_transcript_page(run: ImplementRun) -> None:
    """Save the transcript as an HTML page. The page is optional, so an error is only logged as a warning."""
    from flows.reporting.transcript.page import render_page  # noqa: PLC0415 (only this function needs the template engine)

    if not run.workspace.transcript.exists():
        return
    plan = run.saved.plan
    facts = {
        "Repository": run.request.repo_url.url,
        "Run": run.saved.store.flow_run_id,
        "Cost": str(run.agent.meter) if run.agent.session_id else "",
    }
    title = f"{run.request.repo_url.name} @ {run.request.branch_name}"
    try:
        html = render_page(run.workspace.transcript, title, facts, plan.instructions.main_text if plan else "")
        run.saved.store.without_retries.save(StateFile.TRANSCRIPT_PAGE, html)
    except Exception as error:  # noqa: BLE001 (the run's outcome does not depend on the page)
        get_run_logger().warning("the page of the transcript could not be saved: %s: %s", type(error).__name__, error)


def deployment_name() -> str:
    """Return the name of the run's deployment; empty if the run has none, or if the API does not answer."""
    try:
        return str(runtime.deployment.name or "")
    except Exception:  # noqa: BLE001 (Prefect looks it up in its API, which may not answer)
        return ""

"""What is known of a run at its end, however it came to that, for whoever tells of it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from prefect import runtime

from flows.agent.outcome import AgentReport, report
from flows.agent.transcript import last_words
from flows.errors import RunError
from flows.outcome.result import Ending
from flows.outcome.timing import StepTime
from flows.parameters.addresses import RepoUrl
from flows.repository.collect import collected, patch
from flows.run.setup import Run
from flows.state.store import RunStore
from flows.text_safety import sanitize

_TAIL_BYTES: Final = 2**20
_SHOWN: Final = ("change.bundle", "transcript.html", "transcript.jsonl.gz", "plan")
"""What of the run store a report names."""


def known_ending(
    run: Run | None, given: Mapping[str, Any], steps: Mapping[str, StepTime], error: BaseException | None = None
) -> Ending:
    """Gather what is known, while the run's directories are there; `run` is none where it was refused."""
    known = Ending(
        flow_run_id=str(runtime.flow_run.id),
        deployment=deployment_name(),
        steps=tuple(steps.values()),
        error=error,
    )
    if run is None:
        with suppress(RunError):
            known = replace(known, repo_url=RepoUrl.parse(str(given["repo_url"])))
        return known
    known = replace(
        known,
        repo_url=run.request.repo_url,
        model=run.options.model_id,
        policy=run.request.policy,
        agent=_agent_report(run),
        kept={name: _location(run.store, name) for name in _kept(run)},
        warnings=tuple(_warnings(run)),
    )
    if run.plan is None:
        return known
    change = run.work.change if run.work else None
    with suppress(RunError):
        change = change or collected(run.workspace.clean_git, run.plan.checkout)
    return replace(
        known,
        checkout=run.plan.checkout,
        instructions=run.plan.instructions,
        change=change,
        patch=patch(run.workspace.clean_git, change) if change else "",
    )


def _agent_report(run: Run) -> AgentReport | None:
    """Return what the agent says of itself, or, where it did not come to that, its last words."""
    if run.work:
        return run.work.report
    if run.agent is None or not run.workspace.transcript.exists():
        return None
    with run.workspace.transcript.open("rb") as file:
        file.seek(max(0, run.workspace.transcript.stat().st_size - _TAIL_BYTES))
        result, said = last_words(file.read())
    told, meter = report(result, run.agent.meter.spent_usd), run.agent.meter
    return replace(told, summary=told.summary or sanitize(said), turns=told.turns or meter.replies)


def _warnings(run: Run) -> Iterator[str]:
    if reason := run.workspace.agent.missing_wall:
        yield f"the wall between the agent and the flow's process is missing: {reason}"
    if run.agent and not run.agent.meter.is_exact:
        yield "the cost is an upper bound: the model's price is not known, or a reply broke off"


def _kept(run: Run) -> Iterator[str]:
    """Name what is in the run store, by this execution of the run or by an earlier one."""
    earlier = {"plan"} if run.kept.plan else set()
    if run.kept.finished and run.kept.finished.commit:
        earlier.add("change.bundle")
    yield from (name for name in _SHOWN if name in earlier | run.store.kept)


def _location(store: RunStore, name: str) -> str:
    """Return where a person finds a file of the run store, as far as its file system says."""
    files, path = store.files, store.path(name)
    if bucket := getattr(files, "bucket_name", ""):
        folder = getattr(files, "bucket_folder", "").strip("/")
        return f"s3://{bucket}/{folder}/{path}" if folder else f"s3://{bucket}/{path}"
    base = getattr(files, "basepath", "")
    return f"{str(base).rstrip('/')}/{path}" if base else path


def deployment_name() -> str:
    """Return the name of the run's deployment, without the flow's; empty where it has none, or nobody says."""
    try:
        return str(runtime.deployment.name or "")
    except Exception:  # noqa: BLE001 (Prefect asks its API, which may be away)
        return ""

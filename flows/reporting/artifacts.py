"""Publishes a run's report, as Prefect artifacts and in the run store, and sets the run's tags.

A run does not depend on its report: if Prefect's API or the run store refuses part of it, the run logs a warning.
"""

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect import get_client, get_run_logger, runtime
from prefect.client.schemas.actions import ArtifactCreate

from flows.outcome.summary import RunSummary, headline
from flows.parameters.addresses import RepoUrl
from flows.reporting.report import render_report
from flows.state.files import StateFile
from flows.state.store import RunStore
from flows.text_safety import one_line, sanitize

if TYPE_CHECKING:
    import logging

_TAG: Final = re.compile(r"(repo|branch|model|outcome|verified|pull-request):")
"""Matches the tags that this program sets; each attempt of a run replaces them."""


def publish(summary: RunSummary, store: RunStore | None, tags: Iterable[str]) -> None:
    """Publish the report, the table of steps, the link to the branch and the tags, all in parallel."""
    text = sanitize(render_report(summary))
    key = f"implement-{slug(summary.repo_url)}"
    steps = [
        {"step": step.name, "state": step.state, "seconds": round(step.seconds, 1), "attempts": step.attempts}
        for step in summary.steps
    ]
    calls: list[Callable[[], object]] = [
        lambda: _artifact("markdown", f"{key}-report", headline(summary), text),
        lambda: _artifact("table", f"{key}-steps", "The run's steps", json.dumps(steps)),
        lambda: set_tags(tags),
    ]
    if store:
        calls.append(lambda: store.save(StateFile.REPORT, text.encode()))
    if url := summary.links.branch:
        calls.append(lambda: _artifact("markdown", f"{key}-branch", "The branch with the work", f"[{url}]({url})"))
    if page := summary.pull_request.url if summary.pull_request else "":
        calls.append(lambda: _artifact("markdown", f"{key}-pull-request", "The pull request", f"[{page}]({page})"))
    logger = get_run_logger()
    with ThreadPoolExecutor(len(calls), "report") as pool:
        for future in [pool.submit(copy_context().run, _call_or_warn, call, logger) for call in calls]:
            future.result()


def set_tags(tags: Iterable[str]) -> None:
    """Set these tags of the run, before its other tags, because Prefect shows only the first of many tags."""
    other_tags = [tag for tag in runtime.flow_run.tags if not _TAG.match(tag)]
    run_id = UUID(str(runtime.flow_run.id))
    get_client(sync_client=True).update_flow_run(run_id, tags=[*map(one_line, tags), *other_tags])


def _call_or_warn(call: Callable[[], object], logger: "logging.Logger | logging.LoggerAdapter[logging.Logger]") -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 (a client or a file system may raise anything)
        logger.warning("part of the report could not be published: %s: %s", type(error).__name__, error)


def _artifact(kind: str, key: str, description: str, content: str) -> None:
    run_id = UUID(str(runtime.flow_run.id))
    artifact = ArtifactCreate(
        type=kind, key=key, description=sanitize(description), data=sanitize(content), flow_run_id=run_id
    )
    get_client(sync_client=True).create_artifact(artifact)


def slug(repo_url: RepoUrl | None) -> str:
    """Return the part of an artifact's key that names the repository.

    All runs for a repository use the same keys, so that Prefect shows the history of each artifact.
    """
    path = repo_url.path.removesuffix(".git") if repo_url else ""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[:200] or "repository"

"""The report of a run, as Prefect's artifacts and among the run's keepings; and its tags.

None of it is worth a run: where Prefect's API or the run store does not take it, the run ends as it did, with a
warning.
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

from flows.outcome.result import Ending, headline
from flows.parameters.addresses import RepoUrl
from flows.reporting.report import markdown
from flows.state.store import RunStore
from flows.text_safety import one_line, sanitize

if TYPE_CHECKING:
    import logging

_TAG: Final = re.compile(r"(repo|branch|model|outcome):")
"""The tags that this project sets; a later attempt of the run sets them again."""


def publish(ending: Ending, store: RunStore | None, tags: Iterable[str]) -> None:
    """Publish all that there is to see of a run, at the same time."""
    text = sanitize(markdown(ending))
    key = f"implement-{slug(ending.repo_url)}"
    calls: list[Callable[[], object]] = [
        lambda: _artifact("markdown", f"{key}-report", headline(ending), text),
        lambda: _artifact("table", f"{key}-steps", "How its steps went", json.dumps(_steps(ending))),
        lambda: set_tags(tags),
    ]
    if store:
        calls.append(lambda: store.keep_report(text))
    if url := ending.links.branch:
        calls.append(lambda: _artifact("markdown", f"{key}-branch", "Where the work is", f"[{url}]({url})"))
    logger = get_run_logger()
    with ThreadPoolExecutor(len(calls), "report") as pool:
        for published in [pool.submit(copy_context().run, _quietly, call, logger) for call in calls]:
            published.result()


def set_tags(tags: Iterable[str]) -> None:
    """Give the run these tags of ours, before those that it has: of many Prefect shows the first ones."""
    others = [tag for tag in runtime.flow_run.tags if not _TAG.match(tag)]
    get_client(sync_client=True).update_flow_run(UUID(str(runtime.flow_run.id)), tags=[*map(one_line, tags), *others])


def _quietly(call: Callable[[], object], logger: "logging.Logger | logging.LoggerAdapter[logging.Logger]") -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 (whatever a client or a file system raises, the run is as it is)
        logger.warning("a part of the report is missing: %s: %s", type(error).__name__, error)


def _artifact(kind: str, key: str, description: str, content: str) -> None:
    run_id = UUID(str(runtime.flow_run.id))
    artifact = ArtifactCreate(
        type=kind, key=key, description=sanitize(description), data=sanitize(content), flow_run_id=run_id
    )
    get_client(sync_client=True).create_artifact(artifact)


def _steps(ending: Ending) -> list[dict[str, object]]:
    return [
        {"step": step.name, "state": step.state, "seconds": round(step.seconds, 1), "attempts": step.attempts}
        for step in ending.steps
    ]


def slug(repo_url: RepoUrl | None) -> str:
    """Return what the keys of one repository's artifacts have in common, so that Prefect shows their history."""
    path = repo_url.path.removesuffix(".git") if repo_url else ""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[:200] or "repository"

"""The end of a run: its report, as a Prefect artifact and among the run's keepings."""

import re

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.parameters import Request
from flows.redaction import redact
from flows.report import Delivery, headline, markdown
from flows.store import RunStore
from flows.tasks.claude import Work
from flows.workspace.collect import patch
from flows.workspace.directory import Workspace
from flows.workspace.instructions import Instructions


def publish_report(
    request: Request, workspace: Workspace, instructions: Instructions, work: Work, store: RunStore
) -> State[Delivery]:
    """Publish the report of a run that completed; return the state in which it ends."""
    change, agent = work.change, work.report
    delivery = Delivery(
        repo_url=request.repo_url.url,
        branch=change.checkout.branch,
        commit=change.commit,
        files=tuple(file.path for file in change.files),
        cost_usd=agent.cost_usd,
        turns=agent.turns,
        summary=redact(agent.summary),
    )
    taken = [f"{file.path} {file.version_id or file.etag}" for file in instructions.files]
    text = redact(markdown(delivery, change, agent, [instructions.source, *taken], patch(workspace.clean_git, change)))
    store.keep_report(text)
    create_markdown_artifact(text, key=f"implement-{_slug(request.repo_url.name)}", description="What the run did")
    name = "Completed" if delivery.commit else "NoChanges"
    return Completed(name=name, message=headline(delivery), data=delivery)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "repository"

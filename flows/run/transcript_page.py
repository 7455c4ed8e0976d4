"""The transcript as a page, kept beside the transcript itself. It is for a person: a run can do without it."""

from collections.abc import Mapping

from prefect import get_run_logger

from flows.sandbox.workspace import Workspace
from flows.state.store import RunStore


def keep_page(workspace: Workspace, store: RunStore, title: str, facts: Mapping[str, str], asked: str) -> None:
    """Make the page of what the agent did, and keep it. The work is delivered, or kept, by now."""
    from flows.reporting.transcript.page import page  # noqa: PLC0415 (the template engine is needed here only)

    if not workspace.transcript.exists():
        return
    try:
        store.in_haste.keep("transcript.html", page(workspace.transcript, title, facts, asked))
    except Exception as error:  # noqa: BLE001 (whatever it is, it is no reason for a run to fail)
        get_run_logger().warning("there is no page of the transcript: %s: %s", type(error).__name__, error)

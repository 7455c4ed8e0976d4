"""The command `automations`, which creates, updates or removes the automations on a Prefect server."""

import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from prefect.client.orchestration import SyncPrefectClient
from pydantic import SecretStr

from deployments.cli import prefect_api
from deployments.cli.app import app
from deployments.cli.options import DryRun
from deployments.cli.refusals import refusals
from deployments.cli.step import Step, carry_out
from deployments.cli.terminal import console
from deployments.prefect.automations import installed
from deployments.prefect.automations.blocks import BLOCK_NAME, RemovedWebhookBlock, WebhookBlock, find_recipient

MAX_RUNS: Final = 4
SILENCE_SECONDS: Final = 90
_HEARTBEAT_SECONDS: Final = 30


@app.command()
def automations(
    webhook: Annotated[
        str,
        typer.Option(
            "--webhook",
            help="URL to which deliveries, failures and crashes of runs are sent, as JSON in a POST request. '-' reads "
            "the URL from standard input; a URL on the command line stays in the shell's history.",
        ),
    ] = "",
    block: Annotated[
        str,
        typer.Option(
            "--block",
            help="Block that receives the notifications instead of a webhook, such as slack-webhook/team or "
            "sendgrid-email/me.",
        ),
    ] = "",
    max_runs: Annotated[
        int,
        typer.Option(
            "--max-runs", min=2, help="How many times a run that crashes is executed, including the first time."
        ),
    ] = MAX_RUNS,
    silence_seconds: Annotated[
        int,
        typer.Option(
            "--silence-seconds",
            min=_HEARTBEAT_SECONDS + 5,
            help="How many seconds without a heartbeat pass before a run counts as lost.",
        ),
    ] = SILENCE_SECONDS,
    remove: Annotated[bool, typer.Option("--remove", help="Remove all automations.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Let the Prefect server find lost runs, run them again, and notify people of the outcome of runs."""
    if webhook and block:
        raise typer.BadParameter("give --webhook or --block, not both")
    url = SecretStr(sys.stdin.readline().strip() if webhook == "-" else webhook)
    with refusals(), prefect_api.prefect_api() as prefect:
        steps = _removal(prefect) if remove else _installation(prefect, url, block, max_runs, silence_seconds, dry_run)
        carry_out(steps, console(), dry_run=dry_run)


def _installation(
    prefect: SyncPrefectClient, url: SecretStr, block: str, max_runs: int, silence_seconds: int, dry_run: bool
) -> Iterator[Step]:
    """Yield the steps that save the webhook's block and the automations.

    If the user names no recipient, existing notifications stay as they are.
    """
    if url.get_secret_value():
        yield (webhook := WebhookBlock(prefect, url))
        block = "" if dry_run and webhook.plan() else f"webhook/{BLOCK_NAME}"
    recipient = find_recipient(prefect, block) if block else None
    for automation in installed.automations(max_runs, silence_seconds, recipient):
        yield installed.Installed(prefect, automation)


def _removal(prefect: SyncPrefectClient) -> Iterator[Step]:
    for name in installed.names():
        yield installed.Removed(prefect, name)
    yield RemovedWebhookBlock(prefect)

"""The command that creates, updates or removes the automations on a Prefect server."""

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
            help="Where to POST, as JSON, that a run delivered, failed or crashed. '-' reads the address from standard "
            "input: written here it stays in the shell's history.",
        ),
    ] = "",
    block: Annotated[
        str, typer.Option("--block", help="A block to notify instead, such as slack-webhook/team or sendgrid-email/me.")
    ] = "",
    max_runs: Annotated[
        int,
        typer.Option("--max-runs", min=2, help="How often a run that crashes is executed, including the first time."),
    ] = MAX_RUNS,
    silence_seconds: Annotated[
        int,
        typer.Option(
            "--silence-seconds",
            min=_HEARTBEAT_SECONDS + 5,
            help="After how many seconds without a heartbeat a run counts as lost.",
        ),
    ] = SILENCE_SECONDS,
    remove: Annotated[bool, typer.Option("--remove", help="Remove all of them.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Have the Prefect server find lost runs, run them again, and notify people of outcomes."""
    if webhook and block:
        raise typer.BadParameter("give --webhook or --block, not both")
    url = SecretStr(sys.stdin.readline().strip() if webhook == "-" else webhook)
    with refusals(), prefect_api.prefect_api() as prefect:
        steps = _removal(prefect) if remove else _installation(prefect, url, block, max_runs, silence_seconds, dry_run)
        carry_out(steps, console(), dry_run=dry_run)


def _installation(
    prefect: SyncPrefectClient, url: SecretStr, block: str, max_runs: int, silence_seconds: int, dry_run: bool
) -> Iterator[Step]:
    """Yield the block before the automations that name it; without a recipient, existing notifications stay."""
    if url.get_secret_value():
        yield (webhook := WebhookBlock(prefect, url))
        block = "" if dry_run and webhook.plan() else f"webhook/{BLOCK_NAME}"
    recipient = find_recipient(prefect, block) if block else None
    for wanted in installed.automations(max_runs, silence_seconds, recipient):
        yield installed.Installed(prefect, wanted)


def _removal(prefect: SyncPrefectClient) -> Iterator[Step]:
    for name in installed.names():
        yield installed.Removed(prefect, name)
    yield RemovedWebhookBlock(prefect)

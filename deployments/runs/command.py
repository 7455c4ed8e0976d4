"""The commands `runs list`, `runs continue`, `runs repeat` and `runs delete`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from prefect.client.schemas.objects import FlowRun
from prefect.utilities.urls import url_for

from deployments.cli import prefect_api
from deployments.cli.app import app
from deployments.cli.errors import InvalidParameter, RunsNotOver
from deployments.cli.refusals import refusals
from deployments.cli.terminal import console
from deployments.runs.ages import parse_age
from deployments.runs.flow_runs import flow_runs_by_id, is_finished
from deployments.runs.next_run import continue_run, find_run, repeat_run
from deployments.runs.stores import SavedRun, open_store
from deployments.runs.table import format_size, runs_table

runs = typer.Typer(help="Runs that ended: list what they saved, continue, repeat, delete.", no_args_is_help=True)
app.add_typer(runs, name="runs")

_Block = Annotated[
    str,
    typer.Option(
        "--block",
        help="The storage block, such as s3-bucket/claude-code-headless. The default is Prefect's result storage.",
    ),
]

_FlowRunId = Annotated[str, typer.Argument(help="The id of the flow run. It is in the run's report.")]
_Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A parameter to change, as NAME=VALUE, such as limits.max_budget_usd=40; the value may be JSON."
    ),
]


@runs.command("list")
def list_(block: _Block = "") -> None:
    """List the runs with saved state: name, state, age, size, whether it holds a change, and cost."""
    with refusals(), prefect_api.prefect_api() as prefect:
        store = open_store(block)
        saved_runs = store.runs()
        flow_runs = flow_runs_by_id(prefect, (saved.flow_run_id for saved in saved_runs))
        console().print(runs_table(store, saved_runs, flow_runs))


@runs.command("continue")
def continue_(flow_run_id: _FlowRunId, setting: _Settings = None) -> None:
    """Continue a run that failed, crashed or was cancelled: same session, same branch, what was paid is kept.

    Its deployment's worker, or `deployments.local.serve`, executes it again, as after *Retry* in Prefect's UI. With
    --set it has other parameters than before, such as a higher limit or another policy.
    """
    with refusals(), prefect_api.prefect_api() as prefect:
        flow_run = find_run(prefect, flow_run_id)
        continue_run(prefect, flow_run, setting or [])
        console().print(f"continue {flow_run.name}: {url_for('flow-run', flow_run.id)}", soft_wrap=True, markup=False)


@runs.command()
def repeat(flow_run_id: _FlowRunId, setting: _Settings = None) -> None:
    """Start a new run with the parameters of an earlier one. Nothing of the earlier run is used."""
    with refusals(), prefect_api.prefect_api() as prefect:
        flow_run = repeat_run(prefect, find_run(prefect, flow_run_id), setting or [])
        console().print(f"started {flow_run.name}: {url_for('flow-run', flow_run.id)}", soft_wrap=True, markup=False)


@runs.command()
def delete(
    flow_run_id: Annotated[list[str] | None, typer.Argument(help="The ids of the flow runs.")] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", help="All runs that have saved nothing since then: 30d, 12h, 8w.")
    ] = "",
    block: _Block = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also delete the state of unfinished runs, which may need it.")
    ] = False,
) -> None:
    """Delete the saved state of runs for good: by id, or by age."""
    with refusals(), prefect_api.prefect_api() as prefect:
        store = open_store(block)
        selected = _select(store.runs(), flow_run_id or [], older_than)
        flow_runs = flow_runs_by_id(prefect, (saved.flow_run_id for saved in selected))
        if not force:
            selected = _finished(selected, flow_runs, by_id=bool(flow_run_id))
        if not selected:
            console().print("nothing to delete")
            return
        if not yes:
            console().print(runs_table(store, selected, flow_runs))
            typer.confirm(f"delete all of this from {store.location()}?", abort=True)
        for saved in selected:
            store.delete(saved.flow_run_id)
            console().print(f"[bold]delete[/bold] {saved.flow_run_id}, {format_size(saved.size)}")


def _select(saved_runs: Sequence[SavedRun], flow_run_ids: Sequence[str], older_than: str) -> list[SavedRun]:
    """Return the runs with these ids, or of this age; raise `InvalidParameter` for both, neither or an unknown id."""
    if bool(flow_run_ids) == bool(older_than):
        raise InvalidParameter("say which runs: their ids, or --older-than")
    if older_than:
        before = datetime.now(UTC) - parse_age(older_than)
        return [saved for saved in saved_runs if saved.newest < before]
    if missing := set(flow_run_ids) - {saved.flow_run_id for saved in saved_runs}:
        raise InvalidParameter(f"there is no saved state of the run {', '.join(sorted(missing))}")
    return [saved for saved in saved_runs if saved.flow_run_id in flow_run_ids]


def _finished(selected: Sequence[SavedRun], flow_runs: Mapping[str, FlowRun], *, by_id: bool) -> list[SavedRun]:
    """Return the finished runs; raise `RunsNotOver` if an unfinished run was selected by its id."""
    unfinished = [saved.flow_run_id for saved in selected if not is_finished(flow_runs.get(saved.flow_run_id))]
    if unfinished and by_id:
        raise RunsNotOver(
            f"{', '.join(unfinished)} is not finished and may need its saved state: cancel it first, or use --force"
        )
    if unfinished:
        console().print(f"not deleted, because the run is not finished: {', '.join(unfinished)}", soft_wrap=True)
    return [saved for saved in selected if saved.flow_run_id not in unfinished]

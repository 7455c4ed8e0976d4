"""The commands `runs list`, `runs continue`, `runs repeat` and `runs delete`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import DeploymentStatus, FlowRun
from prefect.utilities.urls import url_for

from deployments.cli import prefect_api
from deployments.cli.app import app
from deployments.cli.errors import InvalidParameter, RunsNotOver
from deployments.cli.refusals import refusals
from deployments.cli.terminal import console
from deployments.prefect.run_parameters import job_variables
from deployments.runs.ages import parse_age
from deployments.runs.flow_runs import flow_runs_by_id, is_finished
from deployments.runs.next_run import continue_run, find_run, repeat_run
from deployments.runs.stores import SavedRun, open_store
from deployments.runs.table import format_size, runs_table

runs = typer.Typer(help="List and delete the saved state of runs; continue or repeat a run.", no_args_is_help=True)
app.add_typer(runs, name="runs")

_Block = Annotated[
    str,
    typer.Option(
        "--block",
        help="The storage block, such as s3-bucket/claude-code-headless. The default is Prefect's result storage.",
    ),
]

_JobVariables = Annotated[
    list[str] | None,
    typer.Option(
        "--job-variable", help="A job variable to change on ECS, as NAME=VALUE, such as ephemeral_storage=100."
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
    """List all runs that have saved state: their names, states, ages, sizes, saved changes and costs."""
    with refusals(), prefect_api.prefect_api() as prefect:
        store = open_store(block)
        saved_runs = store.runs()
        flow_runs = flow_runs_by_id(prefect, (saved.flow_run_id for saved in saved_runs))
        console().print(runs_table(store, saved_runs, flow_runs))


@runs.command("continue")
def continue_(
    flow_run_id: _FlowRunId,
    feedback: Annotated[
        str | None, typer.Option("--feedback", help="What the agent is told, such as the answer to its question.")
    ] = None,
    settings: _Settings = None,
    job_variable: _JobVariables = None,
) -> None:
    """Continue a failed, crashed or cancelled run in its Claude Code session. Finished work is not paid for again.

    With --feedback, the agent continues its work with these words, also if it had ended its work with a question.

    The deployment's worker, or `deployments.local.serve`, executes the run again, as after *Retry* in Prefect's UI.
    Use --set to change parameters, such as a limit or the change policy, and --job-variable for a larger disk on ECS.
    """
    with refusals(), prefect_api.prefect_api() as prefect:
        flow_run = find_run(prefect, flow_run_id)
        continue_run(prefect, flow_run, feedback, settings or [], job_variables(job_variable))
        console().print(f"continuing {flow_run.name}: {url_for('flow-run', flow_run.id)}", soft_wrap=True, markup=False)
        _warn_if_nothing_serves(prefect, flow_run)


@runs.command()
def repeat(flow_run_id: _FlowRunId, settings: _Settings = None, job_variable: _JobVariables = None) -> None:
    """Start a new run with the parameters of an earlier run. Nothing else of the earlier run is used."""
    with refusals(), prefect_api.prefect_api() as prefect:
        flow_run = repeat_run(prefect, find_run(prefect, flow_run_id), settings or [], job_variables(job_variable))
        console().print(f"started {flow_run.name}: {url_for('flow-run', flow_run.id)}", soft_wrap=True, markup=False)
        _warn_if_nothing_serves(prefect, flow_run)


def _warn_if_nothing_serves(prefect: SyncPrefectClient, flow_run: FlowRun) -> None:
    """Warn that the run waits if nothing would execute it.

    Nothing would execute it if no worker polls its work pool and no process serves its deployment.
    """
    if flow_run.deployment_id and prefect.read_deployment(flow_run.deployment_id).status is not DeploymentStatus.READY:
        console().print(
            "the run waits, because nothing serves its deployment now: start the work pool's worker, or run "
            "python -m deployments.local.serve",
            soft_wrap=True,
        )


@runs.command()
def delete(
    flow_run_id: Annotated[list[str] | None, typer.Argument(help="The ids of the flow runs.")] = None,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than", help="Delete the state of all runs whose newest file is older than this: 12h, 30d, 8w."
        ),
    ] = "",
    block: _Block = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also delete the state of unfinished runs, which may still need it.")
    ] = False,
) -> None:
    """Delete the saved state of runs permanently. Select the runs by their ids or by their age."""
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
            typer.confirm(f"delete the saved state of these runs from {store.location()}?", abort=True)
        for saved in selected:
            store.delete(saved.flow_run_id)
            console().print(f"[bold]delete[/bold] {saved.flow_run_id}, {format_size(saved.size)}")


def _select(saved_runs: Sequence[SavedRun], flow_run_ids: Sequence[str], older_than: str) -> list[SavedRun]:
    """Return the saved runs that the ids or the age select.

    Raises:
        InvalidParameter: Both ids and an age are set, or neither is set, or no saved state exists for an id.
    """
    if bool(flow_run_ids) == bool(older_than):
        raise InvalidParameter("it is unclear which runs to delete: give either their ids or --older-than")
    if older_than:
        before = datetime.now(UTC) - parse_age(older_than)
        return [saved for saved in saved_runs if saved.newest < before]
    if missing := set(flow_run_ids) - {saved.flow_run_id for saved in saved_runs}:
        raise InvalidParameter(f"no saved state exists for the run {', '.join(sorted(missing))}")
    return [saved for saved in saved_runs if saved.flow_run_id in flow_run_ids]


def _finished(selected: Sequence[SavedRun], flow_runs: Mapping[str, FlowRun], *, by_id: bool) -> list[SavedRun]:
    """Return the finished runs among `selected`; raise `RunsNotOver` if an unfinished run was selected by its id."""
    unfinished = [saved.flow_run_id for saved in selected if not is_finished(flow_runs.get(saved.flow_run_id))]
    if unfinished and by_id:
        raise RunsNotOver(
            f"{', '.join(unfinished)} is not finished and may need its saved state: cancel it first, or use --force"
        )
    if unfinished:
        console().print(f"not deleted, because the run is not finished: {', '.join(unfinished)}", soft_wrap=True)
    return [saved for saved in selected if saved.flow_run_id not in unfinished]

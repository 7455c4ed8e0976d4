"""The commands that list and delete what runs have left."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from prefect.client.schemas.objects import FlowRun
from rich.table import Table

from deployments.aws.commands import app
from deployments.cli import prefect_api
from deployments.cli.errors import InvalidParameter, RunsNotOver
from deployments.cli.terminal import console, refusals
from deployments.runs.prefect_runs import is_over, known
from deployments.runs.stores import Kept, Store, open_store

keepings = typer.Typer(help="What runs have left in the run store: list, delete.", no_args_is_help=True)
app.add_typer(keepings, name="keepings")

_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}
_Block = Annotated[
    str,
    typer.Option("--block", help="Its block, such as s3-bucket/claude-code-headless; Prefect's result storage if not."),
]


@keepings.command("list")
def list_(block: _Block = "") -> None:
    """List the runs that have left something: name, state, age, size, whether a change is kept, and cost."""
    with refusals(), prefect_api.prefect_api() as prefect:
        store = open_store(block)
        runs = store.runs()
        console().print(_table(store, runs, known(prefect, (kept.flow_run_id for kept in runs))))


@keepings.command()
def delete(
    flow_run_id: Annotated[list[str] | None, typer.Argument(help="Of which runs.")] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", help="Of runs that left nothing newer: 30d, 12h, 8w.")
    ] = "",
    block: _Block = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also of runs that are not over, and may need it.")] = False,
) -> None:
    """Delete for good what runs have left: by their ids, or by age."""
    with refusals(), prefect_api.prefect_api() as prefect:
        store = open_store(block)
        chosen = _chosen(store.runs(), flow_run_id or [], older_than)
        runs = known(prefect, (kept.flow_run_id for kept in chosen))
        if not force:
            chosen = _over(chosen, runs, is_named=bool(flow_run_id))
        if not chosen:
            console().print("nothing to delete")
            return
        if not yes:
            console().print(_table(store, chosen, runs))
            typer.confirm(f"delete all of this from {store.place()}?", abort=True)
        for kept in chosen:
            store.delete(kept.flow_run_id)
            console().print(f"[bold]delete[/bold] {kept.flow_run_id}, {_size(kept.size)}")


def _chosen(runs: Sequence[Kept], flow_run_ids: Sequence[str], older_than: str) -> list[Kept]:
    """Return what was asked for; raise `InvalidParameter` where that is unclear, or not there."""
    if bool(flow_run_ids) == bool(older_than):
        raise InvalidParameter("say which runs: their ids, or --older-than")
    if older_than:
        before = datetime.now(UTC) - _duration(older_than)
        return [kept for kept in runs if kept.newest < before]
    if missing := set(flow_run_ids) - {kept.flow_run_id for kept in runs}:
        raise InvalidParameter(f"nothing is kept of the run {', '.join(sorted(missing))}")
    return [kept for kept in runs if kept.flow_run_id in flow_run_ids]


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([hdw])", text)
    if not found:
        raise InvalidParameter(f"--older-than {text!r} is no time: 30d, 12h and 8w are")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _over(chosen: Sequence[Kept], runs: Mapping[str, FlowRun], *, is_named: bool) -> list[Kept]:
    """Return those of runs that are over; raise `RunsNotOver` where another was named, and say so where it was not."""
    others = [kept.flow_run_id for kept in chosen if not is_over(runs.get(kept.flow_run_id))]
    if others and is_named:
        raise RunsNotOver(f"{', '.join(others)} is not over and may need what it keeps: cancel it first, or --force")
    if others:
        console().print(f"left alone, as they are not over: {', '.join(others)}", soft_wrap=True)
    return [kept for kept in chosen if kept.flow_run_id not in others]


def _table(store: Store, chosen: Sequence[Kept], runs: Mapping[str, FlowRun]) -> Table:
    table = Table("flow run", "", "state", "age", "size", "change", "cost", title=store.place(), title_justify="left")
    total = 0.0
    for kept in chosen:
        run, spent = runs.get(kept.flow_run_id), store.spent(kept)
        total += float(spent.get("spent_usd", 0))
        table.add_row(
            kept.flow_run_id,
            run.name if run else "[dim]not known here[/dim]",
            run.state_name if run else "",
            _age(datetime.now(UTC) - kept.newest),
            _size(kept.size),
            "kept" if kept.has_change else "",
            f"${spent['spent_usd']:.2f}" if spent else "",
        )
    size = sum(kept.size for kept in chosen)
    table.add_section()
    table.add_row(f"{len(chosen)} run{'' if len(chosen) == 1 else 's'}", "", "", "", _size(size), "", f"${total:.2f}")
    return table


def _age(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h"  # noqa: PLR2004 (two days)


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"

"""Formats the runs that have saved state as a table for the terminal."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from prefect.client.schemas.objects import FlowRun
from rich.table import Table

from deployments.runs.stores import SavedRun, Store

_TWO_DAYS = 48
"""Two days, in hours. From this age on, the age of a run is shown in days."""


def runs_table(store: Store, saved_runs: Sequence[SavedRun], flow_runs: Mapping[str, FlowRun]) -> Table:
    """Return a table with a row for each run that has saved state, and a last row with the totals."""
    columns = ("flow run", "name", "state", "age", "size", "change", "cost")
    table = Table(*columns, title=store.location(), title_justify="left")
    total_usd = 0.0
    for saved in saved_runs:
        flow_run, usage = flow_runs.get(saved.flow_run_id), store.usage(saved)
        total_usd += float(usage.get("spent_usd", 0))
        hours = (datetime.now(UTC) - saved.newest) // timedelta(hours=1)
        table.add_row(
            saved.flow_run_id,
            flow_run.name if flow_run else "[dim]unknown to this server[/dim]",
            flow_run.state_name if flow_run else "",
            f"{hours // 24} d" if hours >= _TWO_DAYS else f"{hours} h",
            format_size(saved.size),
            "saved" if saved.has_change else "",
            f"${usage['spent_usd']:.2f}" if usage else "",
        )
    size = format_size(sum(saved.size for saved in saved_runs))
    table.add_section()
    count = len(saved_runs)
    table.add_row(f"{count} run{'' if count == 1 else 's'}", "", "", "", size, "", f"${total_usd:.2f}")
    return table


def format_size(size: int) -> str:
    """Format a size in bytes as text, in KiB or MiB."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"

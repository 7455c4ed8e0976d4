"""The seed of the random kills, and the tables that pytest prints at the end."""

import json
import os
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

_TEST_SECONDS = 600
_KILLS = ("point", "runs", "completed", "duplicate commits", "turns again", "seconds to finish")
_FAULTS = ("fault", "runs", "state", "seconds")
_COMPARISONS = ("comparison", "turns again", "tokens again", "of a whole run")


def pytest_configure() -> None:
    """Choose a seed before the workers start; they inherit it."""
    os.environ.setdefault("DURABILITY_SEED", str(random.SystemRandom().randrange(10**6)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests more time: each runs several processes in sequence, which takes long on a busy machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS))


def pytest_report_header() -> str:
    """Print the seed, with which the same random kills can be repeated."""
    return f"random kills: DURABILITY_SEED={os.environ['DURABILITY_SEED']}"


def pytest_terminal_summary(terminalreporter: Any) -> None:  # noqa: ANN401 (the type is not public in pytest)
    """Print the rows that the tests recorded as `durability`, combined for each point, fault or comparison."""
    rows = defaultdict(list)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, value in report.user_properties:
                    if name == "durability":
                        row = json.loads(value)
                        rows[next(iter(row)), row[next(iter(row))]].append(row)
    for kind, names in (("point", _KILLS), ("fault", _FAULTS), ("comparison", _COMPARISONS)):
        table = [
            [name, *_cells(kind, matching_rows)] for (row_kind, name), matching_rows in rows.items() if row_kind == kind
        ]
        if table:
            terminalreporter.section(
                f"durability: {kind}s (random kills: DURABILITY_SEED={os.environ['DURABILITY_SEED']})"
            )
            for line in _lines([list(names), *table]):
                terminalreporter.write_line(line)


def _cells(kind: str, rows: list[dict[str, Any]]) -> list[str]:
    if kind == "comparison":
        row = rows[0]
        return [str(row["again"]), f"{row['tokens']:,}", f"{row['share']:.0%}"]
    seconds = _range([round(row["seconds"]) for row in rows])
    if kind == "fault":
        return [str(len(rows)), ", ".join(sorted({row["state"] for row in rows})), seconds]
    completed = sum(row["state"] == "Completed" for row in rows)
    duplicates = sum(row["duplicates"] for row in rows)
    return [str(len(rows)), str(completed), str(duplicates), _range([row["again"] for row in rows]), seconds]


def _range(numbers: list[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else f"{min(numbers)} to {max(numbers)}"


def _lines(table: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]

"""The table, printed and written into docs/benchmarks.md between two HTML comments."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

from flows.agent.command import binary
from tests.bench.measures import Measure
from tests.bench.sides import PROJECT

PAGE: Final = PROJECT / "docs" / "benchmarks.md"
PLOT: Final = PROJECT / "docs" / "images" / "growth.png"
ALL_ROWS: Final = frozenset(range(1, 13))
_MEASURED: Final = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- /measured -->)", re.DOTALL)


_HEAD: Final = "| row | work | measured | goal | met | medians |\n|---|---|---|---|---|---|\n"


def write(measures: Iterable[Measure], pairs: int) -> None:
    """Write the measures into the page; they replace its lines of the same rows."""
    page, new_lines = PAGE.read_text(encoding="utf-8"), [_line(measure) for measure in measures]
    rows = {_row(line) for line in new_lines}
    other_lines = [line for line in page.splitlines() if _row(line) not in {0, *rows}]
    header = f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}; {_versions()}. {pairs} pairs after a warm-up.\n\n"
    table = _HEAD + "\n".join(sorted([*other_lines, *new_lines], key=_row)) + "\n"
    plot = f"\n![How the time grows]({PLOT.relative_to(PAGE.parent)})\n" if PLOT.exists() else ""
    text = header + table + _note(rows, {_row(line) for line in other_lines}) + plot
    PAGE.write_text(_MEASURED.sub(lambda _: text, page), encoding="utf-8")


def _line(m: Measure) -> str:
    return f"| {m.row} | {m.work} | {m.figure} | {m.goal} | {'yes' if m.met else '**no**'} | {m.sides} |"


def _row(line: str) -> int:
    match = re.match(r"\| (\d+) \|", line)
    return int(match[1]) if match else 0


def _note(measured_now: set[int], measured_before: set[int]) -> str:
    missing = ", ".join(map(str, sorted(ALL_ROWS - measured_now - measured_before)))
    rows_before = ", ".join(map(str, sorted(measured_before)))
    return (f"\nNot measured: row {missing}.\n" if missing else "") + (
        f"\nMeasured before this, by another run of the bench: row {rows_before}.\n" if rows_before else ""
    )


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} × {names[0] if names else platform.machine()}, {memory:.0f} GB, {platform.system()}"


def _versions() -> str:
    programs = (_output("git", "--version"), _output("aws", "--version").partition(" ")[0])
    packages = (f"{name} {version(name)}" for name in ("prefect", "boto3"))
    claude = _output(str(binary()), "--version").partition(" ")[0]
    return ", ".join((f"Python {platform.python_version()}", *packages, *programs, f"Claude Code {claude}"))


def _output(*command: str) -> str:
    environment = {"HOME": "/nonexistent", "PATH": os.environ.get("PATH", os.defpath)}
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"no {Path(command[0]).name}"


def show(measures: Iterable[Measure]) -> None:
    """Print the measures one by one."""
    for m in measures:
        print(f"{m.row:>3}  {m.work:<48} {m.figure:<28} {m.goal:<26} {'met' if m.met else 'MISSED':<7} {m.sides}")
        sys.stdout.flush()

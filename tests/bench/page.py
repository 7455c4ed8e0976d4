"""The table, printed and written into docs/benchmarks.md between its two marks."""

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
ALL_ROWS: Final = frozenset(range(1, 12))
_MEASURED: Final = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- /measured -->)", re.DOTALL)


_HEAD: Final = "| row | work | found | goal | met | medians |\n|---|---|---|---|---|---|\n"


def write(measures: Iterable[Measure], pairs: int) -> None:
    """Put what was measured into the page, in the place of what that says of the same rows."""
    page, made = PAGE.read_text(encoding="utf-8"), [_line(measure) for measure in measures]
    rows = {_row(line) for line in made}
    kept = [line for line in page.splitlines() if _row(line) not in {0, *rows}]
    words = f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}; {_versions()}. {pairs} pairs after a warm-up.\n\n"
    table = _HEAD + "\n".join(sorted([*kept, *made], key=_row)) + "\n"
    grown = f"\n![How the time grows]({PLOT.relative_to(PAGE.parent)})\n" if PLOT.exists() else ""
    text = words + table + _note(rows, {_row(line) for line in kept}) + grown
    PAGE.write_text(_MEASURED.sub(lambda _: text, page), encoding="utf-8")


def _line(m: Measure) -> str:
    return f"| {m.row} | {m.work} | {m.found} | {m.goal} | {'yes' if m.met else '**no**'} | {m.sides} |"


def _row(line: str) -> int:
    found = re.match(r"\| (\d+) \|", line)
    return int(found[1]) if found else 0


def _note(measured: set[int], kept: set[int]) -> str:
    missing = ", ".join(map(str, sorted(ALL_ROWS - measured - kept)))
    others = ", ".join(map(str, sorted(kept)))
    return (f"\nNot measured: row {missing}.\n" if missing else "") + (
        f"\nMeasured before this, by another run of the bench: row {others}.\n" if others else ""
    )


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} × {names[0] if names else platform.machine()}, {memory:.0f} GB, {platform.system()}"


def _versions() -> str:
    programs = (_said("git", "--version"), _said("aws", "--version").partition(" ")[0])
    packages = (f"{name} {version(name)}" for name in ("prefect", "boto3"))
    claude = _said(str(binary()), "--version").partition(" ")[0]
    return ", ".join((f"Python {platform.python_version()}", *packages, *programs, f"Claude Code {claude}"))


def _said(*command: str) -> str:
    environment = {"HOME": "/nonexistent", "PATH": os.environ.get("PATH", os.defpath)}
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"no {Path(command[0]).name}"


def show(measures: Iterable[Measure]) -> None:
    """Print the measures as they come."""
    for m in measures:
        print(f"{m.row:>3}  {m.work:<48} {m.found:<28} {m.goal:<26} {'met' if m.met else 'MISSED':<7} {m.sides}")
        sys.stdout.flush()

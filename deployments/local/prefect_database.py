"""Keeps a database with Prefect's tables, because making the tables takes a new server ten processor seconds."""

import fcntl
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_FOLDER: Final = Path(__file__).parents[2] / ".demo" / "prefect-database"


def database_with_tables() -> Path | None:
    """Return a SQLite database with Prefect's tables and nothing else, to be copied; None if it cannot be made here.

    It is made once for each version of Prefect. `make clean` removes it.
    """
    original = _FOLDER / f"{version('prefect')}.db"
    try:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        with original.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not original.exists():
                new = original.with_suffix(".new")
                new.unlink(missing_ok=True)
                _make_tables(new)
                new.rename(original)
    except (OSError, subprocess.CalledProcessError):
        return None
    return original


def _make_tables(database: Path) -> None:
    with TemporaryDirectory() as home:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            "PREFECT_HOME": home,
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        }
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        subprocess.run(command, env=environment, check=True, capture_output=True)

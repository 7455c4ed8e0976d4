"""A database with Prefect's tables, for the stack of each worker. Making the tables takes ten processor seconds."""

import fcntl
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


def new_database(root: Path) -> Path:
    """Return a database that holds Prefect's tables and nothing else.

    It is made once for each version of Prefect, and stays beside pytest's caches in `root`, the project's folder.
    """
    original = root / ".pytest_cache" / "prefect-database" / f"{version('prefect')}.db"
    original.parent.mkdir(parents=True, exist_ok=True)
    with original.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            new = original.with_suffix(".new")
            new.unlink(missing_ok=True)
            _make_tables(new)
            new.rename(original)
    return original


def _make_tables(database: Path) -> None:
    environment = {**os.environ, "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}"}
    del environment["PREFECT_API_URL"]  # this command is for a server, and refuses to work beside one
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    subprocess.run(command, env=environment, check=True, capture_output=True)

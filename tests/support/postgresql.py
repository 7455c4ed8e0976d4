"""A PostgreSQL server for one test: Debian's package, on loopback, with a password, in a temporary directory."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deployments.local.prefect_server import free_port

_USER: Final = "postgres"


@dataclass(frozen=True)
class PostgreSQL:
    """A running server, with its port and password."""

    programs: Path
    port: int
    password: str

    def url(self, database: str) -> str:
        """Return a database's URL in the form that Prefect's server expects."""
        return f"postgresql+asyncpg://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, sql: str) -> str:
        """Run a query; return psql's output without headers or alignment."""
        connection = ("-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "-d", database)
        environment = {**os.environ, "PGPASSWORD": self.password}
        completed_process = subprocess.run(
            [str(self.programs / "psql"), *connection, "-tAc", sql],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert completed_process.returncode == 0, completed_process.stderr
        return completed_process.stdout.strip()


def programs() -> Path:
    """Return the program directory of the newest PostgreSQL. Fail if PostgreSQL is missing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if not folders:
        pytest.fail("PostgreSQL's server is needed: apt-get install postgresql")
    return folders[-1]


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Create a cluster and start its server; stop the server and remove the cluster at the end."""
    server = PostgreSQL(programs(), free_port(), secrets.token_urlsafe(16))
    with tempfile.TemporaryDirectory(prefix="claude-code-headless-postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(server.password)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            for path in (folder, folder / "password"):
                shutil.chown(path, _USER, _USER)
        access = ["--auth=scram-sha-256", f"--username={_USER}", f"--pwfile={folder}/password", "--no-sync"]
        _call(server.programs / "initdb", f"--pgdata={folder}/data", *access)
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={server.port} -c unix_socket_directories={folder} -c fsync=off"
        )
        control = (server.programs / "pg_ctl", f"--pgdata={folder}/data", "--wait")
        _call(*control, "start", f"--options={options}", f"--log={folder}/log")
        try:
            yield server
        finally:
            _call(*control, "stop", "--mode=immediate")


def _call(*command: str | Path) -> None:
    completed_process = subprocess.run(
        command,
        user=_USER if os.geteuid() == 0 else None,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert completed_process.returncode == 0, f"{command}: {completed_process.stderr}"

"""A PostgreSQL server of its own: Debian's, on loopback, with a password, in a directory that goes with it."""

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
    """A running server, and what opens it."""

    programs: Path
    port: int
    password: str

    def url(self, database: str) -> str:
        """Return a database's URL, as Prefect's server takes it."""
        return f"postgresql+asyncpg://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, sql: str) -> str:
        """Return what psql prints, unadorned."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "-d", database)
        environment = {**os.environ, "PGPASSWORD": self.password}
        done = subprocess.run(
            [str(self.programs / "psql"), *where, "-tAc", sql],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def programs() -> Path:
    """Return the directory of the newest PostgreSQL's programs. Fail if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if not found:
        pytest.fail("PostgreSQL's server is needed: apt-get install postgresql")
    return found[-1]


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Make a cluster and start its server; end and remove both."""
    made = PostgreSQL(programs(), free_port(), secrets.token_urlsafe(16))
    with tempfile.TemporaryDirectory(prefix="claude-code-headless-postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(made.password)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            for path in (folder, folder / "password"):
                shutil.chown(path, _USER, _USER)
        asked = ["--auth=scram-sha-256", f"--username={_USER}", f"--pwfile={folder}/password", "--no-sync"]
        _call(made.programs / "initdb", f"--pgdata={folder}/data", *asked)
        options = f"-c listen_addresses=127.0.0.1 -c port={made.port} -c unix_socket_directories={folder} -c fsync=off"
        control = (made.programs / "pg_ctl", f"--pgdata={folder}/data", "--wait")
        _call(*control, "start", f"--options={options}", f"--log={folder}/log")
        try:
            yield made
        finally:
            _call(*control, "stop", "--mode=immediate")


def _call(*command: str | Path) -> None:
    done = subprocess.run(
        command,
        user=_USER if os.geteuid() == 0 else None,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"

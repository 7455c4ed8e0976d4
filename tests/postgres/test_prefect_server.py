"""A Prefect server as a team hosts it: with PostgreSQL, and with an auth string that every request needs."""

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from deployments.local.prefect_server import client_environment, free_port, prefect_server
from deployments.local.scripted_model import Tool, Turn
from deployments.local.served import run, served
from tests.support.marks import needs_root
from tests.support.postgresql import PostgreSQL, postgresql
from tests.support.world import World

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

PASSWORD: Final = f"local-auth-string-{secrets.token_hex(6)}"
# Matches this run's password alone, and does not contain it, so that the agent may see the pattern.
PATTERN: Final = PASSWORD.replace("local", "[l]ocal")
PROJECT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Hosted:
    """The team's server and its database."""

    api_url: str
    database: PostgreSQL
    home: Path

    def environment(self, world: World) -> dict[str, str]:
        """Return the variables of a machine that runs the flow."""
        server_variables = {
            **client_environment(self.api_url, self.home),
            "PREFECT_API_AUTH_STRING": f"team:{PASSWORD}",
        }
        return {**os.environ, **world.stack.environment(), **server_variables, "PYTHONPATH": str(PROJECT)}

    def wait_for(self, sql: str, expected: str) -> None:
        """Wait until a query of the database returns the expected text. Fail after ten seconds."""
        deadline = time.monotonic() + 10
        while (answer := " ".join(self.database.query("postgres", sql).split())) != expected:
            assert time.monotonic() < deadline, f"{answer!r}, not {expected!r}"
            time.sleep(0.1)

    def post(self, path: str, password: str = "") -> httpx.Response:
        """Send a request to the server, with a password or without one."""
        auth = ("team", password) if password else None
        return httpx.post(f"{self.api_url}{path}", json={}, auth=auth, trust_env=False)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """The server, started with two settings only."""
    home = tmp_path_factory.mktemp("hosted")
    with postgresql() as database:
        settings = {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url("postgres"),
            "PREFECT_SERVER_API_AUTH_STRING": f"team:{PASSWORD}",
        }
        with prefect_server(home / "server", free_port(), settings) as api_url:
            yield Hosted(api_url, database, home / "client")


@pytest.mark.parametrize(
    ("password", "status"), [("", 401), ("a-wrong-one", 401), (PASSWORD, 200)], ids=["none", "wrong", "right"]
)
def test_it_answers_only_requests_with_the_auth_string(hosted: Hosted, password: str, status: int) -> None:
    assert hosted.post("/flow_runs/filter", password).status_code == status


def test_a_run_completes_and_is_stored_in_postgresql(hosted: Hosted, world: World) -> None:
    environment = hosted.environment(world)
    with served(environment) as server:
        run_id, completed = run(
            environment, server, repo_url=world.repo_url, instructions="Say hello", branch_name="by-team"
        )
    assert completed, "\n".join(server.last_lines)
    assert world.content("by-team", "hello.txt") == "hello"
    assert hosted.database.query("postgres", f"select state_type from flow_run where id = '{run_id}'") == "COMPLETED"  # noqa: S608
    tasks = hosted.database.query("postgres", f"select count(*) from task_run where flow_run_id = '{run_id}'")  # noqa: S608
    assert int(tasks) >= 5


def test_text_that_postgresql_cannot_store_loses_neither_the_event_nor_a_log_line(hosted: Hosted, world: World) -> None:
    texts = ("done \x00", "\x00\x00 done", "done \ud83d", "done \uffff\U000e0041", "\udcff done \ufff9")
    write = Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"})
    world.script(*(Turn(text, (write,)) for text in texts), Turn(" ".join(texts)))
    environment = hosted.environment(world)
    with served(environment) as server:
        run_id, completed = run(
            environment, server, repo_url=world.repo_url, instructions="Say hello", branch_name="odd"
        )
        assert completed, "\n".join(server.last_lines)
        event = f"select payload->>'summary' from events where resource_id = 'claude-code.run.{run_id}'"  # noqa: S608
        lines = f"select count(*) from log where flow_run_id = '{run_id}' and message like 'says: %done%'"  # noqa: S608
        # The server must still run: a run's process sends its last log lines after the run's last state.
        for query, expected in ((event, "done done done ? done ? done"), (lines, "6")):
            hosted.wait_for(query, expected)


@needs_root
def test_the_agent_has_no_auth_string(hosted: Hosted, world: World) -> None:
    world.shell(
        f"env > env.txt; id -u > uid.txt; grep -rlsaE '{PATTERN}' /proc/[0-9]*/environ /proc/[0-9]*/cmdline "
        f'/tmp /root /run /etc "$HOME" "$TMPDIR" {{cwd}} > found.txt'  # noqa: S108 (searched)
    )
    environment = hosted.environment(world)
    with served(environment) as server:
        assert PASSWORD in Path(f"/proc/{server.process.pid}/environ").read_text()
        _, completed = run(
            environment, server, repo_url=world.repo_url, instructions="Look", branch_name="looked-around"
        )
    assert completed, "\n".join(server.last_lines)
    assert int(world.content("looked-around", "uid.txt")) >= 70_000
    assert world.content("looked-around", "found.txt") == ""
    assert "PREFECT" not in world.content("looked-around", "env.txt")
    assert PASSWORD not in world.content("looked-around", "env.txt")

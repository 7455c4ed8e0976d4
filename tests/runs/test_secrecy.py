"""No credential leaks: everything that could contain one is searched, during a run and after it."""

import os
import re
import threading
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.redaction import SECRETS as KNOWN
from tests.support.marks import needs_root
from tests.support.prefect_workers import flush
from tests.support.runs import run_flow
from tests.support.sightings import PATTERNS, holders, sampled_argv, seen_in
from tests.support.world import World


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_no_log_database_storage_argv_or_commit_holds_a_credential(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], provider: str
) -> None:
    world.shell("env; cat /proc/self/environ; git config --list --show-origin; git remote -v; ls -laR {cwd}/..")
    caplog.set_level("DEBUG")
    with sampled_argv() as argv:
        flow_run = run_flow(
            world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Look around", provider=provider
        )
        flow_run.delivered() if flow_run.result else None
    flush()
    output = capfd.readouterr()
    everything = (caplog.text + output.out + output.err).encode() + b"\0".join(argv)
    assert world.name.encode() in everything
    assert seen_in(everything) == []
    database = list((world.stack.home / "prefect-server").rglob("*.db*"))
    assert any(flow_run.id.encode() in path.read_bytes() for path in database)
    saved = Path(str(PREFECT_LOCAL_STORAGE_PATH.value())) / "claude-code-headless" / flow_run.id
    assert holders(database) == []
    assert holders(saved.rglob("*")) == []
    assert not [request for request in world.stack.model.requests if seen_in(request.body)]


def test_the_prefect_api_credentials_of_a_profile_are_known_secrets(world: World) -> None:
    profile = {PREFECT_API_KEY: "pnu_of_a_profile", PREFECT_API_AUTH_STRING: "team:of-a-profile"}
    with temporary_settings(profile):
        run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Say hello").delivered()
    assert KNOWN.found_in("pnu_of_a_profile, team:of-a-profile") == {"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"}


@needs_root
def test_the_agent_finds_no_credential_in_anything_it_can_read(world: World) -> None:
    world.shell(
        f"grep -rlsaE '{PATTERNS}' /proc/[0-9]*/environ /proc/[0-9]*/cmdline /tmp /root /run /etc "
        f'"$HOME" "$TMPDIR" {{cwd}} > found.txt; id -u > uid.txt'
    )
    delivery = run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Look").delivered()
    assert int(world.content(delivery.branch, "uid.txt")) >= 70_000
    assert world.content(delivery.branch, "found.txt") == ""


@needs_root
def test_the_agent_cannot_read_the_flow_process_or_its_directory(world: World) -> None:
    pid = os.getpid()
    world.shell(
        f"for f in /proc/{pid}/environ /proc/{pid}/maps /proc/{pid}/fd {{cwd}}/../../trusted; do "
        "ls $f >/dev/null 2>&1 && cat $f >/dev/null 2>&1 && echo $f; done > readable.txt; "
        f"kill -0 {pid} 2>/dev/null && echo signal >> readable.txt; "
        "touch {instructions}/new {instructions}/instructions.md 2>/dev/null && echo instructions >> readable.txt; "
        "grep -E 'NoNewPrivs|CapBnd|CapEff|Groups' /proc/self/status > status.txt"
    )
    delivery = run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Look").delivered()
    assert world.content(delivery.branch, "readable.txt") == ""
    status = dict(re.findall(r"(\w+):[\t ]*(\S*)", world.content(delivery.branch, "status.txt")))
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0


@needs_root
def test_two_runs_at_once_have_two_users(world: World) -> None:
    world.shell("id -u > uid.txt; sleep 2")
    delivered = []

    def run() -> None:
        flow_run = run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Look")
        delivered.append(world.content(flow_run.delivered().branch, "uid.txt"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(delivered)) == 2

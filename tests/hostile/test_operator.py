"""An unlucky operator: credentials with stray characters, and a program that provides credentials and fails."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import API_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, GIT_EMAIL, GIT_TOKEN
from flows.aws import credentials as aws_credentials
from flows.errors import AwsCredentialsMissing, InvalidCredential, InvalidGitSecret, RunError
from flows.parameters.limits import Limits
from tests.support.attack import Attack
from tests.support.combinations import combinations
from tests.support.runs import Run, steps_started
from tests.support.sightings import PATTERNS, seen_in
from tests.support.world import World

SEARCH = (
    f'grep -rlsaE \'{PATTERNS}\' "$HOME" "$TMPDIR" /proc/self/environ /proc/[0-9]*/cmdline > found.txt; '
    "env >> found.txt"
)
EVERY_SECOND = Limits(checkpoint_seconds=1, max_budget_usd=1)
PROVIDERS = ["anthropic", "bedrock"]
PASSWORD = f"proxy-password-{uuid.uuid4().hex[:8]}"


def check_ran(attack: Attack) -> None:
    """Assert that the run did its work, and that neither its traces nor its agent's search contain a credential."""
    assert attack.sightings() == []
    assert attack.second_server.credential_requests() == []
    delivery = attack.run.delivered()
    assert set(delivery.files) == {"hello.txt", "found.txt"}
    search_result = attack.world.content(delivery.branch, "found.txt")
    assert "HOME=" in search_result
    assert "/" not in search_result.partition("=")[0]
    assert seen_in(search_result.encode(), [API_KEY, GIT_TOKEN, AWS_SECRET_ACCESS_KEY, PASSWORD]) == []


def check_refused(
    attack: Attack, error: type[RunError], secret_parts: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Assert that the run failed with this error before its agent started, and showed no part of the credential."""
    assert type(attack.run.error) is error, attack.run.error
    assert attack.world.stack.model.requests == []
    assert {"Task run 'clone'", "Task run 'claude'"}.isdisjoint(steps_started(caplog))
    visible_output = (
        f"{attack.run.error}{attack.run.state!r}{attack.run.artifact()}".encode() + attack.output + attack.argv
    )
    assert seen_in(visible_output, secret_parts) == []
    files = [path for path in attack.run.saved_file("").rglob("*") if path.is_file()]
    assert not [path for path in files if seen_in(path.read_bytes(), secret_parts)]


@pytest.mark.parametrize(("provider", "around"), combinations(PROVIDERS, ["\n", "\r\n", " ", "\u00a0", "\ufeff"]))
def test_white_space_around_every_credential_changes_nothing(
    run_attack: Callable[..., Attack], monkeypatch: pytest.MonkeyPatch, around: str, provider: str
) -> None:
    for name, value in {
        "ANTHROPIC_API_KEY": API_KEY,
        "AWS_ACCESS_KEY_ID": AWS_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET_ACCESS_KEY,
    }.items():
        monkeypatch.setenv(name, f"{value}{around}")
    attack = run_attack(SEARCH, provider=provider, limits=EVERY_SECOND)
    check_ran(attack)


def test_white_space_around_the_git_token_changes_nothing(run_attack: Callable[..., Attack], world: World) -> None:
    name = f"spaced/{world.name}"
    fields = {"token": f"\n{GIT_TOKEN}\r\n", "email": f"{GIT_EMAIL}\n"}
    world.stack.put_secret(json.dumps(fields) + "\n", name)
    check_ran(run_attack(SEARCH, git_credentials_secret_id=name))


@pytest.mark.parametrize(
    ("name", "within"),
    combinations(
        ["ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PREFECT_API_KEY"],
        ["\n", "\r\n", " ", "\x1b", "é", "\u200b", "\udcff"],
    ),
)
def test_a_credential_that_no_header_can_carry_is_refused_by_name(
    run_attack: Callable[..., Attack],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    within: str,
) -> None:
    provider = "anthropic" if name.startswith("ANTHROPIC") else "bedrock"
    parts = (f"first-{uuid.uuid4().hex}", f"second-{uuid.uuid4().hex}")
    value = within.join(parts)
    monkeypatch.setenv(name, value)
    attack = run_attack(SEARCH, provider=provider)
    check_refused(attack, InvalidCredential, parts, caplog)
    assert name in str(attack.run.error)
    assert steps_started(caplog) == []


def test_a_git_token_of_two_lines_is_refused_by_name(
    run_attack: Callable[..., Attack], world: World, caplog: pytest.LogCaptureFixture
) -> None:
    parts = (f"first-{uuid.uuid4().hex}", f"second-{uuid.uuid4().hex}")
    world.stack.put_secret(json.dumps({"token": "\n".join(parts), "email": GIT_EMAIL}), f"two/{world.name}")
    check_refused(run_attack(SEARCH, git_credentials_secret_id=f"two/{world.name}"), InvalidGitSecret, parts, caplog)


def start(world: World, module: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an entry point of the flow as its own process, as a container does."""
    required = {"PROCESS_REQUIREMENTS": "true", "REPO_URL": world.repo_url, "INSTRUCTIONS": "Say hello"}
    return subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, **required, **variables},
        cwd=Path(__file__).parents[2],
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
    )


def test_white_space_around_a_value_that_prefect_sends_changes_nothing(world: World) -> None:
    proxy = f"http://team:{PASSWORD}@127.0.0.1:9\r\n"
    spaced = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "ALL_PROXY": proxy, "PREFECT_API_KEY": f"{PASSWORD}\n"}
    completed_process = start(world, "flows", **spaced)
    assert completed_process.returncode == 0, completed_process.stderr
    assert seen_in((completed_process.stdout + completed_process.stderr).encode(), [PASSWORD]) == []


@pytest.mark.parametrize(
    ("name", "module"),
    combinations(
        ["HTTPS_PROXY", "all_proxy", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"],
        ["flows", "flows.runtime.execute", "flows.runtime.engine"],
    ),
)
def test_a_value_that_prefect_cannot_send_is_refused_before_prefect_starts(
    world: World, name: str, module: str
) -> None:
    parts = (f"first-{uuid.uuid4().hex}", f"second-{uuid.uuid4().hex}")
    completed_process = start(world, module, PREFECT__FLOW_RUN_ID=str(uuid.uuid4()), **{name: "\n".join(parts)})
    assert completed_process.returncode == (2 if module == "flows" else 1)
    assert "InvalidCredential" in completed_process.stderr
    assert name in completed_process.stderr
    assert "Traceback" not in completed_process.stderr
    assert seen_in((completed_process.stdout + completed_process.stderr).encode(), parts) == []


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Configure a program that hands out AWS keys. They expire in minutes, so boto3 calls it for each signature."""

    def configure(before: str) -> None:
        credentials = {"Version": 1, "AccessKeyId": AWS_ACCESS_KEY_ID, "SecretAccessKey": AWS_SECRET_ACCESS_KEY}
        (tmp_path / "keys.json").write_text(json.dumps({**credentials, "Expiration": "EXPIRES"}))
        expires = "$(date -u -d '+5 minutes' +%Y-%m-%dT%H:%M:%SZ)"
        program = tmp_path / "keys.sh"
        program.write_text(f'#!/bin/sh\ncd {tmp_path}\n{before}\nsed "s/EXPIRES/{expires}/" keys.json\n')
        program.chmod(0o700)
        (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    return configure


def failing_commands(tmp_path: Path, *, once: bool) -> str:
    """Return commands that fail after the agent has used a tool, and print a secret as they fail."""
    end = "rm fail" if once else ":"
    return f"[ -e fail ] && {end} && echo '{AWS_SECRET_ACCESS_KEY} is not accepted by {tmp_path}' >&2 && exit 1"


def two_turns(world: World, tmp_path: Path) -> None:
    """Let the agent write one file, after which the keys fail, and then another."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:-1]:
        parent.chmod(parent.stat().st_mode | 0o011)
    first = Tool("Bash", {"command": f"echo 1 > {{cwd}}/first.txt; touch {tmp_path}/fail"})
    second = Tool("Bash", {"command": "echo 2 > {cwd}/second.txt"})
    world.script(Turn("One.", (first,)), Turn("Two.", (second,)), Turn("Done."))


def test_a_signature_that_fails_once_is_retried_and_the_run_completes(
    world: World,
    run: Callable[..., Run],
    keys: Callable[[str], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys(failing_commands(tmp_path, once=True))
    two_turns(world, tmp_path)
    finished_run = run(limits=EVERY_SECOND)
    assert set(finished_run.delivered().files) == {"first.txt", "second.txt"}
    assert "the model gateway: CredentialRetrievalError" in caplog.text
    assert AWS_SECRET_ACCESS_KEY not in caplog.text
    assert seen_in(b"".join(request.body for request in world.stack.model.requests)) == []


def test_keys_that_are_lost_for_good_fail_the_run_soon_and_by_name_and_its_work_is_saved(
    world: World,
    run: Callable[..., Run],
    keys: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(aws_credentials, "PATIENCE_SECONDS", 1)
    keys(failing_commands(tmp_path, once=False))
    two_turns(world, tmp_path)
    began = time.monotonic()
    finished_run = run(limits=EVERY_SECOND)
    assert time.monotonic() - began < 60
    assert type(finished_run.error) is AwsCredentialsMissing
    assert finished_run.saved_file("change.bundle").exists()
    assert finished_run.run_count("claude") == 1
    assert AWS_SECRET_ACCESS_KEY not in caplog.text
    assert 1 < len([record for record in caplog.records if "the model gateway" in record.getMessage()]) < 5

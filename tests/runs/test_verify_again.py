"""The flow deliver verifies a saved change again, if its parameter asks for that, with services and setup."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from flows import errors
from flows.deliver import deliver
from flows.outcome.result import RunResult
from tests.support.commits import git
from tests.support.runs import Run, run_flow
from tests.support.service_settings import FILE, settings, web_service
from tests.support.world import World

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

CHECK = """\
grep -qx setup made.txt && {health} > /dev/null || exit 9
if [ -e hello.txt ] && ! [ -e newer.txt ]; then echo 'newer.txt is missing'; exit 1; fi
if [ -e unwanted.txt ]; then exit 2; fi
"""


def delivery(run: Run, **parameters: object) -> Run:
    call: Callable[..., State[Any]] = deliver
    state = call(**{"flow_run_id": run.id, "verify": True, **parameters}, return_state=True)
    result = state.result(raise_on_failure=False)
    if isinstance(result, RunResult):
        return Run(state, None, result, run.api_url)
    return Run(state, result, None, run.api_url)


def commit_on_main(world: World, folder: Path, name: str) -> str:
    """Commit a file to the main branch, as another person; nothing but a message if the name is empty."""
    clone = folder / f"clone-{name}"
    git(folder, "clone", "--quiet", str(world.stack.git.root / f"{world.name}.git"), str(clone))
    if name:
        (clone / name).write_text("x\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--allow-empty", "--message=other")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return world.git("rev-parse", "main")


def test_a_delivery_verifies_the_change_with_services_and_setup_on_the_commit_that_it_pushes(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = web_service()
    file = f"{settings(service, setup='echo setup > made.txt; echo the setup ran')}verify: sh check.sh\n"
    world = make_world({"README.md": "# A\n", "check.sh": CHECK.format(health=service.health), FILE: file})
    failed = run_flow(
        world.stack.prefect_api_url,
        repo_url=world.repo_url,
        instructions="Say hello.",
        branch_name="new",
        verification={"max_repairs": 0, "on_verification_failure": "keep"},
    )
    assert type(failed.error) is errors.VerificationFailed
    assert str(failed.error).endswith("newer.txt is missing"), "the check has reached the service"
    requests = len(world.stack.model.requests)

    caplog.set_level("INFO")
    refused = delivery(failed)
    assert type(refused.error) is errors.VerificationFailed
    assert "'sh check.sh' failed (exit status 1)" in str(refused.error)
    assert f"deliver it without verify to push it nevertheless (flow_run_id={failed.id})" in str(refused.error)
    assert str(refused.error).endswith("newer.txt is missing")
    assert world.branches() == {"main"}
    assert "the setup ran" in caplog.text, "the setup runs on this machine as well"
    rows = [row for row in refused.artifact().splitlines() if "`sh check.sh` |" in row]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == ["first", "delivery"]

    newer = commit_on_main(world, tmp_path, "newer.txt")
    delivered = delivery(failed, apply_to_latest=True)
    result = delivered.delivered()
    assert delivered.state.name == "Completed"
    assert result.verification is not None
    assert (result.verification.status, result.applied_to) == ("verified", newer)
    assert world.git("rev-parse", "new~1") == newer
    assert world.content("new", "hello.txt") == "hello"
    flow_run = httpx.get(f"{delivered.api_url}/flow_runs/{delivered.id}").json()
    assert "verified:yes" in flow_run["tags"]
    assert "verified" in str(delivered.state.message)
    assert delivered.run_count("verify") == 1

    commit_on_main(world, tmp_path, "unwanted.txt")
    other = delivery(failed, apply_to_latest=True, branch_name="other")
    assert other.delivered().verification is not None
    assert other.state.name == "NotVerified", "the newest commit of main fails by itself"
    assert len(world.stack.model.requests) == requests, "no agent is started"


def test_a_delivery_on_a_newer_commit_with_the_verified_tree_is_verified(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path
) -> None:
    world = make_world({"README.md": "# A\n"})
    verification = {"verify_commands": "true"}
    flow_run = run_flow(
        world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Say hello.", verification=verification
    )
    assert flow_run.delivered().verification is not None
    newer = commit_on_main(world, tmp_path, "")
    same = delivery(flow_run, verify=False, apply_to_latest=True, branch_name="same")
    result = same.delivered()
    assert result.verification is not None
    assert (result.applied_to, result.verification.status, same.state.name) == (newer, "verified", "Completed")
    assert result.commit != flow_run.delivered().commit
    commit_on_main(world, tmp_path, "newer.txt")
    other = delivery(flow_run, verify=False, apply_to_latest=True, branch_name="other")
    assert other.state.name == "NotVerified", "another tree is not verified"

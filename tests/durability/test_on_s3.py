"""Lost machines with the run store in S3, so that the machines share no disk."""

import json
import uuid
from pathlib import Path

from deployments.local.scripted_model import Tool, Turn
from tests.durability.machines import create_flow_run, machine, matches
from tests.support.world import World

STEPS = tuple(
    Turn(f"Step {n}.", (Tool("Bash", {"command": f"cat ../../instructions/deep/{n} > step-{n}"}),), seconds=0.5)
    for n in range(1, 8)
)


def test_a_run_is_resumed_from_a_bucket_with_the_original_instructions(world: World, tmp_path: Path) -> None:
    from prefect_aws import S3Bucket  # noqa: PLC0415

    bucket = f"results-{uuid.uuid4().hex[:8]}"
    world.stack.s3().create_bucket(Bucket=bucket)
    S3Bucket(bucket_name=bucket).save(bucket)
    storage = f"s3-bucket/{bucket}"
    world.script(*STEPS, Turn("Done."))
    files = {"main.md": b"# Copy", **{f"deep/{n}": b"%d\n" % n for n in range(1, 8)}}
    parameters = {
        "repo_url": world.repo_url,
        "instructions_s3_uri": f"{world.instructions(files)}*",
        "branch_name": "new",
        "limits": {"checkpoint_seconds": 1},
    }
    run = create_flow_run(parameters)
    with machine(run, tmp_path / "one", variables={"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": storage}) as first:
        first.wait_for(matches(r"says: Step 5\."))
        first.lose()
    world.instructions(dict.fromkeys(files, b"changed meanwhile\n"))
    with machine(run, tmp_path / "another", variables={"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": storage}) as second:
        second.wait_for_exit()
        log = second.log()
    assert run.state == "Completed", log
    assert "the work of an earlier attempt resumes" in log
    assert [world.content("new", f"step-{n}") for n in range(1, 8)] == [str(n) for n in range(1, 8)]
    assert not list(tmp_path.rglob("*claude-code-headless*"))
    usage = world.stack.s3().get_object(Bucket=bucket, Key=f"claude-code-headless/{run.id}/usage.json")["Body"].read()
    assert 8 <= json.loads(usage)["replies"] <= 8 + 3


def test_a_run_that_was_being_cancelled_when_it_was_lost_makes_no_more_requests(world: World, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.objects import State, StateType  # noqa: PLC0415
    from prefect.states import Crashed, Pending  # noqa: PLC0415

    world.script(*STEPS, Turn("Done."))
    run = create_flow_run({"repo_url": world.repo_url, "instructions": "Work", "branch_name": "new"})
    with machine(run, tmp_path) as first:
        first.wait_for(matches(r"says: Step 2\."))
        first.lose()
    with get_client(sync_client=True) as client:
        for state in (State(type=StateType.CANCELLING), Crashed(), Pending()):
            client.set_flow_run_state(uuid.UUID(run.id), state, force=True)
    requests_before = len(world.stack.model.requests)
    with machine(run, tmp_path) as second:
        second.wait_for_exit()
        log = second.log()
    assert run.state == "Cancelled", log
    assert len(world.stack.model.requests) == requests_before
    assert "new" not in world.branches()

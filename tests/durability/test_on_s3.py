"""The same with the run store in S3: machines that share no disk at all."""

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


def test_a_run_goes_on_from_a_bucket_with_the_instructions_as_they_were(world: World, tmp_path: Path) -> None:
    from prefect_aws import S3Bucket  # noqa: PLC0415

    bucket = f"results-{uuid.uuid4().hex[:8]}"
    world.stack.s3().create_bucket(Bucket=bucket)
    S3Bucket(bucket_name=bucket).save(bucket)
    storage = f"s3-bucket/{bucket}"
    world.script(*STEPS, Turn("Done."))
    files = {"main.md": b"# Copy", **{f"deep/{n}": b"%d\n" % n for n in range(1, 8)}}
    given = {
        "repo_url": world.repo_url,
        "instructions_s3_uri": f"{world.instructions(files)}*",
        "branch_name": "new",
        "limits": {"checkpoint_seconds": 1},
    }
    run = create_flow_run(given)
    with machine(run, tmp_path / "one", variables={"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": storage}) as first:
        first.wait_for(matches(r"says: Step 5\."))
        first.lose()
    world.instructions(dict.fromkeys(files, b"changed meanwhile\n"))
    with machine(run, tmp_path / "another", variables={"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": storage}) as second:
        second.end()
        said = second.log()
    assert run.state == "Completed", said
    assert "resumes from there" in said
    assert [world.content("new", f"step-{n}") for n in range(1, 8)] == [str(n) for n in range(1, 8)]
    assert not list(tmp_path.rglob("*claude-code-headless*"))
    usage = world.stack.s3().get_object(Bucket=bucket, Key=f"claude-code-headless/{run.id}/usage.json")["Body"].read()
    assert 8 <= json.loads(usage)["replies"] <= 8 + 3


def test_a_run_that_was_being_cancelled_when_it_was_lost_spends_nothing_more(world: World, tmp_path: Path) -> None:
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
    asked = len(world.stack.model.asked)
    with machine(run, tmp_path) as second:
        second.end()
        said = second.log()
    assert run.state == "Cancelled", said
    assert len(world.stack.model.asked) == asked
    assert "new" not in world.branches()

"""The image, run as its users run it: by `docker run` with the variables of the origin, and as an ECS task."""

import re
import time
from typing import Final
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from deployments.local.stack import AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.parameters.request import DEFAULT_SECRET_ID
from tests.conftest import World
from tests.image.engine import Container, Engine

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

EXECUTE: Final = ("python", "-m", "flows.runtime.execute")
"""The command of an ECS task; the flow run's id is in the environment."""

RESCHEDULE: Final = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}

LOOK_AROUND: Final = """
id -u > uid.txt
find /opt /usr /etc ! -type l -writable > writable.txt
ls -A /tmp/prefect /root > home.txt
grep -lsa AWS_SECRET_ACCESS_KEY /proc/[0-9]*/environ > secrets.txt
echo '#!/bin/sh' > script.sh && chmod +x script.sh && ./script.sh && echo yes > executable.txt
"""


def variables(world: World) -> dict[str, str]:
    """Return the variables of the origin's `docker run`, one for one, and where the local stack is in AWS's place."""
    stack = {name: value for name, value in world.stack.environment().items() if name.startswith("AWS_E")}
    return {
        **stack,
        "PROCESS_REQUIREMENTS": "true",
        "REPO_URL": world.repo_url,
        "INSTRUCTIONS_S3_URI": f"{world.instructions({'instructions.md': b'Greet'})}instructions.md",
        "CLAUDE_MODEL_ID": DEFAULT_MODEL_IDS["bedrock"],
        "DISABLE_PROMPT_CACHE": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": AWS_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET_ACCESS_KEY,
        "GIT_CREDENTIALS_SECRET_ID": DEFAULT_SECRET_ID,
        "CLAUDE_SETTINGS": '{"permissions": {"allow": ["Bash(*)","Read(*)","Edit(*)","MultiEdit(*)","Write(*)"]}}',
    }


def ecs_task(world: World, **parameters: str) -> tuple[str, dict[str, str]]:
    """Create a flow run of a deployment; return its id, and the variables with which a worker starts its task."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("implement")
        deployment_id = client.create_deployment(
            flow_id, world.name, entrypoint="flows.implement.implement", pull_steps=[]
        )
        given = {"repo_url": world.repo_url, **parameters}
        run_id = str(client.create_flow_run_from_deployment(deployment_id, parameters=given).id)
    environment = world.stack.environment()
    del environment["PREFECT_HOME"]
    return run_id, {**environment, "PREFECT__FLOW_RUN_ID": run_id}


def state(run_id: str) -> str:
    with get_client(sync_client=True) as client:
        now = client.read_flow_run(UUID(run_id)).state
    return now.name if now and now.name else ""


def check_walls(world: World, branch: str) -> None:
    """Check what the agent found when it looked around; that it is on the remote shows that the job was done."""
    assert int(world.content(branch, "uid.txt")) >= 70_000
    assert world.content(branch, "writable.txt") == ""
    assert world.content(branch, "home.txt") == ""
    assert world.content(branch, "secrets.txt") == ""
    assert world.content(branch, "executable.txt") == "yes"


def wait_for_agent(world: World, container: Container) -> None:
    """Wait until the model has told the agent what to do."""
    deadline = time.monotonic() + 90
    while not world.stack.model.asked:
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.2)
    time.sleep(1)


def stopped(world: World, container: Container) -> tuple[int, str]:
    """Stop a container while its agent works, and check that nobody had to kill it; return its status and output."""
    wait_for_agent(world, container)
    asked = time.monotonic()
    container.stop(grace_seconds=60)
    assert time.monotonic() - asked < 20
    return container.end()


@pytest.mark.parametrize("read_only", [False, True])
def test_docker_run_with_the_variables_of_the_origin(world: World, engine: Engine, read_only: bool) -> None:
    world.shell(LOOK_AROUND)
    with engine.container(environment=variables(world), read_only=read_only) as container:
        status, said = container.end()
    assert status == 0, said
    completed = re.search(r"^completed: branch (\S+) commit (\w+)$", said, re.MULTILINE)
    assert completed, said
    assert world.git("rev-parse", completed[1]) == completed[2]
    check_walls(world, completed[1])


@pytest.mark.parametrize("read_only", [False, True])
def test_an_ecs_task(world: World, engine: Engine, read_only: bool) -> None:
    world.shell(LOOK_AROUND)
    run_id, environment = ecs_task(world, instructions_s3_uri=f"{world.instructions()}*", branch_name="by-ecs")
    with engine.container(*EXECUTE, environment=environment, read_only=read_only) as container:
        status, said = container.end()
    assert status == 0, said
    assert state(run_id) == "Completed"
    check_walls(world, "by-ecs")


def test_sigterm_ends_docker_run_in_order(world: World, engine: Engine) -> None:
    world.shell("sleep 300")
    with engine.container(environment=variables(world)) as container:
        status, said = stopped(world, container)
    assert status == 128 + 15, said
    assert "Finished in state Crashed('Execution was aborted by a termination signal.')" in said


def test_sigterm_ends_an_ecs_task_in_time(world: World, engine: Engine) -> None:
    world.shell("sleep 300")
    _, environment = ecs_task(world, instructions="Wait")
    with engine.container(*EXECUTE, environment=environment) as container:
        status, said = stopped(world, container)
    assert status == 128 + 15, said


def test_sigterm_has_an_ecs_task_rescheduled_where_that_is_asked_for(world: World, engine: Engine) -> None:
    world.shell("sleep 300")
    run_id, environment = ecs_task(world, instructions="Wait")
    with engine.container(*EXECUTE, environment={**environment, **RESCHEDULE}, read_only=True) as container:
        status, said = stopped(world, container)
    assert status == 0, said
    assert state(run_id) == "AwaitingRetry"


def test_orphans_are_reaped(engine: Engine) -> None:
    orphan = "(sleep 1 &); sleep 2; cat /proc/1/comm; grep -h '^State' /proc/[0-9]*/status"
    said = engine.output("sh", "-c", orphan)
    assert said.startswith("tini\n")
    assert "zombie" not in said
    assert "sleeping" in said


def test_an_unknown_command_is_refused(engine: Engine) -> None:
    with engine.container("no-such-command", environment={}) as container:
        status, _ = container.end()
    assert status == 127

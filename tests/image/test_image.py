"""The image, run as its users run it: by `docker run` with the original variables, and as an ECS task."""

import re
import time
from typing import Final
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from deployments.local.stack import AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.parameters.shared import DEFAULT_SECRET_ID
from tests.support.container_engine import Container, Engine
from tests.support.world import World

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

EXECUTE: Final = ("python", "-m", "flows.runtime.execute")
"""The command of an ECS task; the flow run's id is in the environment."""

RESCHEDULE: Final = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}

LOOK_AROUND: Final = """
id -u > uid.txt
{ whoami; id -gn; python3 -c 'import getpass, os; print(getpass.getuser(), os.path.expanduser("~agent"))'; } > names.txt
find /opt /usr /etc ! -type l -writable > writable.txt
ls -A /tmp/prefect /root > home.txt
grep -lsa AWS_SECRET_ACCESS_KEY /proc/[0-9]*/environ > secrets.txt
echo '#!/bin/sh' > script.sh && chmod +x script.sh && ./script.sh && echo yes > executable.txt
"""


def variables(world: World) -> dict[str, str]:
    """Return the variables of the original `docker run`, one for one, and the addresses of the local stack."""
    endpoints = {name: value for name, value in world.stack.environment().items() if name.startswith("AWS_E")}
    return {
        **endpoints,
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
    """Create a flow run of a deployment; return its id and the variables with which a worker starts its task."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("implement")
        deployment_id = client.create_deployment(
            flow_id, world.name, entrypoint="flows.implement.implement", pull_steps=[]
        )
        all_parameters = {"repo_url": world.repo_url, **parameters}
        run_id = str(client.create_flow_run_from_deployment(deployment_id, parameters=all_parameters).id)
    environment = world.stack.environment()
    del environment["PREFECT_HOME"]
    return run_id, {**environment, "PREFECT__FLOW_RUN_ID": run_id}


def state(run_id: str) -> str:
    with get_client(sync_client=True) as client:
        current_state = client.read_flow_run(UUID(run_id)).state
    return current_state.name if current_state and current_state.name else ""


def check_isolation(world: World, branch: str) -> None:
    """Check what the agent saw of its surroundings. Its files are on the git server, so the run has delivered."""
    assert int(world.content(branch, "uid.txt")) >= 70_000
    assert re.fullmatch(r"agent\nagent\nagent /tmp/\S+/agent/home", world.content(branch, "names.txt"))
    assert world.content(branch, "writable.txt") == ""
    assert world.content(branch, "home.txt") == ""
    assert world.content(branch, "secrets.txt") == ""
    assert world.content(branch, "executable.txt") == "yes"


def wait_for_agent(world: World, container: Container) -> None:
    """Wait until the agent has the model's reply and works on it."""
    deadline = time.monotonic() + 90
    while not world.stack.model.requests:
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.2)
    time.sleep(1)


def stop_at_work(world: World, container: Container) -> tuple[int, str]:
    """Stop a container while its agent works. Fail if it had to be killed; return its exit status and output."""
    wait_for_agent(world, container)
    stopped_at = time.monotonic()
    container.stop(grace_seconds=60)
    assert time.monotonic() - stopped_at < 20
    return container.wait_for_exit()


@pytest.mark.parametrize("read_only", [False, True])
def test_docker_run_with_the_variables_of_the_origin(world: World, engine: Engine, read_only: bool) -> None:
    world.shell(LOOK_AROUND)
    with engine.container(environment=variables(world), read_only=read_only) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    match = re.search(r"^completed: branch (\S+) commit (\w+)$", output, re.MULTILINE)
    assert match, output
    assert world.git("rev-parse", match[1]) == match[2]
    check_isolation(world, match[1])


@pytest.mark.parametrize("read_only", [False, True])
def test_an_ecs_task(world: World, engine: Engine, read_only: bool) -> None:
    world.shell(LOOK_AROUND)
    run_id, environment = ecs_task(world, instructions_s3_uri=f"{world.instructions()}*", branch_name="by-ecs")
    with engine.container(*EXECUTE, environment=environment, read_only=read_only) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    assert state(run_id) == "Completed"
    check_isolation(world, "by-ecs")


def test_sigterm_ends_docker_run_in_an_orderly_way(world: World, engine: Engine) -> None:
    world.shell("sleep 300")
    with engine.container(environment=variables(world)) as container:
        status, output = stop_at_work(world, container)
    assert status == 128 + 15, output
    assert "Finished in state Crashed('Execution was aborted by a termination signal.')" in output


def test_sigterm_ends_an_ecs_task_in_time(world: World, engine: Engine) -> None:
    world.shell("sleep 300")
    _, environment = ecs_task(world, instructions="Wait")
    with engine.container(*EXECUTE, environment=environment) as container:
        status, output = stop_at_work(world, container)
    assert status == 128 + 15, output


def test_sigterm_reschedules_an_ecs_task_that_is_configured_so(world: World, engine: Engine) -> None:
    world.shell("sleep 300")
    run_id, environment = ecs_task(world, instructions="Wait")
    with engine.container(*EXECUTE, environment={**environment, **RESCHEDULE}, read_only=True) as container:
        status, output = stop_at_work(world, container)
    assert status == 0, output
    assert state(run_id) == "AwaitingRetry"


def test_orphans_are_reaped(engine: Engine) -> None:
    orphan = "(sleep 1 &); sleep 2; cat /proc/1/comm; grep -h '^State' /proc/[0-9]*/status"
    output = engine.output("sh", "-c", orphan)
    assert output.startswith("tini\n")
    assert "zombie" not in output
    assert "sleeping" in output


def test_an_unknown_command_is_refused(engine: Engine) -> None:
    with engine.container("no-such-command", environment={}) as container:
        status, _ = container.wait_for_exit()
    assert status == 127

"""A run whose machine is lost goes on elsewhere: nothing is lost, nothing is done twice, little is paid again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.local.scripted_model import Tool, Turn
from tests.conftest import World
from tests.durability.machines import FlowRun, create_flow_run, machine, matches

TURNS = 12
STEPS = tuple(
    Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} > step-{n}"}),), seconds=0.5) for n in range(1, TURNS)
)
WORK = {f"step-{n}" for n in range(1, TURNS)}
BRANCH = "the-branch"
Start = Callable[..., FlowRun]


@pytest.fixture
def start(world: World) -> Start:
    def call(**parameters: Any) -> FlowRun:  # noqa: ANN401 (the flow's own)
        world.script(*STEPS, Turn("Done."))
        given = {
            "repo_url": world.repo_url,
            "instructions": "Take the steps",
            "branch_name": BRANCH,
            "limits": {"checkpoint_seconds": 1},
            **parameters,
        }
        return create_flow_run(given)

    return call


def turns_asked(world: World) -> int:
    return len([asked for asked in world.stack.model.asked if "invoke" in asked.path])


def is_delivered(world: World, run: FlowRun) -> bool:
    commits = world.git("rev-list", f"main..{BRANCH}").splitlines()
    message = world.git("log", "-1", "--format=%B", BRANCH)
    changed = set(world.git("diff", "--name-only", "main", BRANCH).splitlines())
    return len(commits) == 1 and run.id in message and changed == WORK


@pytest.mark.parametrize(
    ("point", "turns_again"),
    [
        (r"Task run 'secret.*Completed", 0),
        (r"the work starts from", 0),
        (r"says: Step 2\.", 3),
        (r"says: Step 7\.", 3),
        (r"says: Step 11\.", 3),
        (r"ends after", 3),
        (r"Task run 'claude.*Completed", 0),
        (r"pushed ", 0),
    ],
)
def test_a_lost_machine_costs_little(world: World, start: Start, tmp_path: Path, point: str, turns_again: int) -> None:
    run = start()
    with machine(run, tmp_path) as first:
        first.wait_for(matches(point))
        first.lose()
    before = turns_asked(world)
    with machine(run, tmp_path) as second:
        second.end()
        said = second.log()
    assert run.state == "Completed", said
    assert is_delivered(world, run)
    assert turns_asked(world) <= TURNS + turns_again, (before, said)

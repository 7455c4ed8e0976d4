"""A run that loses its machine while it opens its pull request has one pull request in the end."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.local.scripted_model import Script, Tool, Turn
from tests.durability.points import wait
from tests.durability.scene import scene, table_row
from tests.support.forges.fixtures import parameters_for, serve_with_git
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.killed_step import killed_step
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS
from tests.support.world import World

HELLO = Turn("I write.", (Tool("Bash", {"command": "echo hello > hello.txt"}),))

KILLED_RUNS = max(20, int(os.environ.get("RANDOM_KILLS", "0")))
"""How many runs on each forge are killed up to three times."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_another_machine_opens_no_second_pull_request(world: World, tmp_path: Path, moment: str) -> None:
    reached, lost = threading.Event(), threading.Event()

    def hold(now: str) -> None:
        if now == moment and not reached.is_set():
            reached.set()
            lost.wait(120)

    with serve_with_git(GitHubStandIn, world) as forge:
        with scene(world, tmp_path / "store", **parameters_for(forge, "draft")) as the_run:
            world.stack.model.script = Script((HELLO, Turn("Done.")))
            forge.on_write = hold
            with the_run.machine() as first:
                wait(first, reached.is_set)
                first.lose()
                lost.set()
            with the_run.machine() as second:
                assert second.wait_for_exit() == 0, second.log()
                assert "pushed " in second.log()
            assert the_run.run.state == "Completed"
            assert the_run.requested_turns == 2, "no agent was started again"
        [opened] = forge.pull_requests
        assert (opened.head, opened.base, opened.is_draft) == ("work", "main", True)
        assert the_run.run.id in opened.body
        assert len(the_run.commits()) == 1


@pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
def test_a_step_that_is_killed_at_random_times_leads_to_one_request(
    kind: type[ForgeStandIn], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = os.environ["DURABILITY_SEED"]
    with killed_step(kind, tmp_path) as killed:
        killed.begin()
        started = time.monotonic()
        assert killed.attempt() == 0
        whole_seconds = time.monotonic() - started
        for number in range(KILLED_RUNS):
            killed.begin()
            chance = random.Random(f"{seed} {kind.name} {number}")  # noqa: S311 (not a secret)
            ends = [killed.attempt(seconds=chance.random() * whole_seconds) for _ in range(3)]
            assert set(ends) <= {0, -signal.SIGKILL}, (number, ends)
            started = time.monotonic()
            assert killed.attempt() == 0, number
            killed.check(len(ends), number)
            row: dict[str, object] = {"fault": f"pull_request killed {ends.count(-signal.SIGKILL)} times ({kind.name})"}
            row |= {"state": "one pull request", "seconds": time.monotonic() - started}
            record_property("durability", table_row(**row))

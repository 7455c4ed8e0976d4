"""A run that loses its machine while it opens its pull request has one pull request in the end."""

import threading
from pathlib import Path

import pytest

from deployments.local.scripted_model import Script, Tool, Turn
from tests.durability.points import wait
from tests.durability.scene import scene
from tests.support.forges.fixtures import parameters_for, serve_with_git
from tests.support.forges.github import GitHubStandIn
from tests.support.world import World

HELLO = Turn("I write.", (Tool("Bash", {"command": "echo hello > hello.txt"}),))


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

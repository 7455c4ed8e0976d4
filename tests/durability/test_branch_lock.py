"""Two follow-ups of one pull request: the second is refused, and a lost machine does not hold the branch for ever."""

import json
import time
from dataclasses import replace
from pathlib import Path

from prefect.filesystems import LocalFileSystem

from deployments.local.scripted_model import Script, Tool, Turn
from flows.state.branch_lock import LIFE_SECONDS, BranchLock
from flows.state.branch_record import BranchRecords
from tests.durability.machines import create_flow_run
from tests.durability.points import wait
from tests.durability.scene import scene
from tests.support.forges.fixtures import parameters_for, serve_with_git
from tests.support.forges.github import GitHubStandIn
from tests.support.world import World

ANSWERS = [{"comment": 1, "text": "Both are there.", "changed": True}]
WRITE = Turn("I write hello.", (Tool("Bash", {"command": "echo hello > hello.txt"}),))
ONE = Turn("I write one.", (Tool("Bash", {"command": "cd {cwd} && echo one > one.txt"}),))
LAST = Turn("Followed up.", answer={"replies": ANSWERS})


def test_the_second_follow_up_is_refused_and_another_one_goes_on_after_the_first_is_lost(
    world: World, tmp_path: Path
) -> None:
    with (
        serve_with_git(GitHubStandIn, world) as forge,
        scene(world, tmp_path / "store", **parameters_for(forge)) as the_run,
    ):
        world.stack.model.script = Script((WRITE, Turn("Done."), ONE, replace(LAST, seconds=60)))
        with the_run.machine() as machine:
            assert machine.wait_for_exit() == 0, machine.log()
        asked = forge.reviews.say("ada", "One, please", 1, path="hello.txt", line=1)
        page = {"pull_request_url": f"{forge.url}/acme/widgets/pull/1", "forge": forge.name}
        lost, second, third = (create_flow_run(page, "follow_up") for _ in range(3))
        the_run.run, requests = lost, the_run.requested_turns
        with the_run.machine() as first_machine:
            wait(first_machine, lambda: the_run.requested_turns == requests + 2)
            the_run.run = second
            with the_run.machine() as second_machine:
                assert second_machine.wait_for_exit() == 0
                refusal = f"FollowUpInProgress: the run {lost.id} follows up on the branch"
                assert refusal in second_machine.log()
            assert second.state == "Failed"
            first_machine.lose()
        the_run.run = third
        with the_run.machine() as third_machine:
            assert third_machine.wait_for_exit() == 0
        assert third.state == "Failed", "the lock of a lost machine lasts for a while"
        assert the_run.requested_turns == requests + 2, "nothing is spent"
        assert forge.reviews.own_comments == []

        let_time_pass(tmp_path / "store", forge.repo_url)
        world.stack.model.script = Script((WRITE, Turn("Done."), ONE, LAST))
        the_run.run = create_flow_run(page, "follow_up")
        with the_run.machine() as machine:
            assert machine.wait_for_exit() == 0, machine.log()
        assert the_run.run.state == "Completed"
        pushed = world.git("rev-parse", "work")
        the_run.run = lost
        with the_run.machine() as machine:
            assert machine.wait_for_exit() == 0, machine.log()
        assert world.git("rev-parse", "work") == pushed
        assert [each.answers for each in forge.reviews.own_comments if each.answers] == [asked.id], "one reply"


def let_time_pass(store: Path, repo_url: str) -> None:
    """Write the lock as it is when it has ended, as after ten minutes."""
    folder = BranchRecords(LocalFileSystem(basepath=str(store)), repo_url).folder("work")
    content = json.loads(folder.read_sealed("lock") or b"")
    lock = BranchLock(folder, "work", content["run_id"], content["attempt"], lambda: time.time() - LIFE_SECONDS)
    lock.take()

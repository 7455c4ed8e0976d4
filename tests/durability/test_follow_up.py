"""A follow-up that loses its machine continues on another, in the session of the run that opened the pull request."""

from pathlib import Path

from deployments.local.scripted_model import Script, Tool, Turn
from tests.durability.machines import create_flow_run
from tests.durability.points import wait
from tests.durability.scene import scene
from tests.support.forges.fixtures import parameters_for, serve_with_git
from tests.support.forges.github import GitHubStandIn
from tests.support.world import World


def write(name: str) -> tuple[Tool, ...]:
    return (Tool("Bash", {"command": f"cd {{cwd}} && echo {name} > {name}.txt"}),)


def test_a_lost_follow_up_resumes_and_answers_once(world: World, tmp_path: Path) -> None:
    answers = [{"comment": 1, "text": "Both are there.", "changed": True}]
    turns = (
        Turn("I write hello.", write("hello")),
        Turn("Done."),
        Turn("I write one.", write("one"), needs=("I write hello.", "> One and two, please")),
        Turn("I write two.", write("two"), seconds=20, needs=("I write one.",)),
        Turn("Followed up.", answer={"replies": answers}),
    )
    with serve_with_git(GitHubStandIn, world) as forge:
        with scene(world, tmp_path / "store", **parameters_for(forge)) as the_run:
            world.stack.model.script = Script(turns)
            with the_run.machine() as first:
                assert first.wait_for_exit() == 0, first.log()
            pushed = world.git("rev-parse", "work")
            asked = forge.reviews.say("ada", "One and two, please", 1, path="hello.txt", line=1)
            page = f"{forge.url}/acme/widgets/pull/1"
            the_run.run = create_flow_run({"pull_request_url": page, "forge": forge.name}, "follow_up")

            def has_written_one() -> bool:
                checkpoint = the_run.saved_run().checkpoint
                return checkpoint is not None and b"I write one." in checkpoint.session and bool(checkpoint.bundle)

            with the_run.machine() as second:
                wait(second, has_written_one)
                second.lose()
            forge.reviews.say("ada", "Something else", 10**7)
            world.stack.model.script = Script((*turns[:3], Turn("I write two.", write("two")), turns[4]))
            requests = the_run.requested_turns
            with the_run.machine() as third:
                assert third.wait_for_exit() == 0, third.log()
            assert the_run.run.state == "Completed"
            assert the_run.requested_turns - requests <= 2, "what was done is not done again"
            assert len(the_run.commits()) == 1
            assert the_run.left_behind() == []
        assert world.git("rev-parse", "work~1") == pushed
        assert world.content("work", "one.txt") + world.content("work", "two.txt") == "onetwo"
        own = forge.reviews.own_comments
        assert [each.answers for each in own] == [asked.id, 0], "one reply and one summary"
        assert "> Both are there." in own[0].text

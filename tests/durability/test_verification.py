"""A run that loses its machine between a verification and the repair goes on elsewhere, and repeats nothing."""

from collections.abc import Callable
from pathlib import Path

from deployments.local.scripted_model import Script, Tool, Turn
from tests.durability.points import log_matches, wait
from tests.durability.scene import BRANCH, scene
from tests.support.world import World

CHECK = """\
echo "it runs with $(cat made.txt)"
if [ "$LANG" = C ]; then sleep 300; fi
if [ -e hello.txt ] && ! grep -qx hello hello.txt; then echo 'FAILED check_says_hello'; exit 1; fi
"""
SLOW_CHECK = 'if [ -e hello.txt ] && [ "$LANG" = C ]; then sleep 300; fi\n'
DONE = Turn("Done.")
VERIFICATION = {"setup_command": "echo setup > made.txt", "verify_commands": "sh check.sh"}


def script(repair_seconds: float) -> Script:
    """Return a model that says the wrong word, and repairs it if it knows what failed and what it did."""
    bad, good = "echo bye > hello.txt", "cat made.txt hello.txt >> found.txt; echo hello > hello.txt"
    repair = Turn(
        "I repair.",
        (Tool("Bash", {"command": good}),),
        repair_seconds,
        needs=("FAILED check_says_hello", "I was wrong."),
    )
    return Script((Turn("I work.", (Tool("Bash", {"command": bad}),)), Turn("I was wrong."), repair, DONE))


def test_another_machine_repairs_the_change(make_world: Callable[[dict[str, str]], World], tmp_path: Path) -> None:
    world = make_world({"README.md": "# A repository\n", "check.sh": CHECK})
    with scene(world, tmp_path / "store", verification=VERIFICATION) as the_run:
        world.stack.model.script = script(repair_seconds=120)
        with the_run.machine() as first:
            wait(first, lambda: the_run.requested_turns == 3)
            assert "it runs with setup" in first.log()
            first.lose()
        world.stack.model.script = script(repair_seconds=0)
        world.stack.model.requests.clear()
        with the_run.machine() as second:
            assert second.wait_for_exit() == 0, second.log()
            log = second.log()
        assert the_run.run.state == "Completed", log
        assert the_run.requested_turns == 2, "the first round is not paid again"
        assert "Task run 'verify'" not in log, "the first verification does not run again"
        assert log.count("it runs with setup") == 1
        assert world.content(BRANCH, "hello.txt") == "hello"
        assert world.content(BRANCH, "found.txt") == "setup\nbye", "the work tree and the setup's files were restored"
        assert len(the_run.commits()) == 1
        assert the_run.saved_run().verifications.rounds[-1].number == 1
        assert the_run.left_behind() == []


def test_another_machine_goes_on_in_the_middle_of_a_repair(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path
) -> None:
    def turns(slow_seconds: float) -> Script:
        first = "cat hello.txt >> found.txt; printf 'the %s is done' half"
        return Script(
            (
                Turn("I work.", (Tool("Bash", {"command": "echo bye > hello.txt"}),)),
                Turn("I was wrong."),
                Turn("First.", (Tool("Bash", {"command": first}),), needs=("FAILED check_says_hello",)),
                Turn("Then.", (Tool("Bash", {"command": "echo hello > hello.txt"}),), slow_seconds),
                DONE,
            )
        )

    world = make_world({"README.md": "# A repository\n", "check.sh": CHECK})
    with scene(world, tmp_path / "store", verification=VERIFICATION) as the_run:

        def half_is_saved() -> bool:
            checkpoint = the_run.saved_run().checkpoint
            return checkpoint is not None and checkpoint.round == 1 and b"the half is done" in checkpoint.session

        world.stack.model.script = turns(slow_seconds=120)
        with the_run.machine() as first:
            wait(first, half_is_saved)
            first.lose()
        checkpoint = the_run.saved_run().checkpoint
        assert checkpoint is not None
        world.stack.model.script = turns(slow_seconds=0)
        world.stack.model.requests.clear()
        with the_run.machine() as second:
            assert second.wait_for_exit() == 0, second.log()
            log = second.log()
        assert the_run.run.state == "Completed", log
        assert the_run.requested_turns == 2, "neither the work nor the first half of the repair is paid again"
        assert "Task run 'verify'" not in log, "the first verification does not run again"
        assert "Task run 'claude repair 2'" not in log
        assert world.content(BRANCH, "found.txt") == "bye", "the half is not done again"
        assert world.content(BRANCH, "hello.txt") == "hello"
        assert len(the_run.commits()) == 1
        rounds = the_run.saved_run().verifications.rounds
        assert [(each.number, str(each.verification.status)) for each in rounds] == [
            (0, "verification failed"),
            (1, "verified"),
        ]
        assert rounds[0].worked_seconds < checkpoint.worked_seconds < rounds[1].worked_seconds
        assert the_run.left_behind() == []


def test_another_machine_repeats_a_verification_that_was_not_finished(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path
) -> None:
    world = make_world({"README.md": "# A repository\n", "check.sh": CHECK})
    with scene(world, tmp_path / "store", verification=VERIFICATION) as the_run:
        world.stack.model.script = Script(
            (Turn("I work.", (Tool("Bash", {"command": "echo hello > hello.txt"}),)), DONE)
        )
        with the_run.machine(variables={"LANG": "C"}) as first:
            wait(first, log_matches("it runs with setup", first))
            first.lose()
        world.stack.model.requests.clear()
        with the_run.machine(variables={"LANG": "C.UTF-8"}) as second:
            assert second.wait_for_exit() == 0, second.log()
            log = second.log()
        assert the_run.run.state == "Completed", log
        assert the_run.requested_turns == 0, "the agent is not started again"
        assert log.count("it runs with setup") == 1
        assert world.content(BRANCH, "hello.txt") == "hello"
        assert len(the_run.commits()) == 1
        assert the_run.left_behind() == []


def test_a_retry_runs_the_commands_again_that_the_machine_was_too_slow_for(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path
) -> None:
    world = make_world({"README.md": "# A repository\n", "check.sh": SLOW_CHECK})
    verification = {**VERIFICATION, "max_repairs": 0}
    limits = {"command_timeout_seconds": 5}
    with scene(world, tmp_path / "store", verification=verification, limits=limits) as the_run:
        world.stack.model.script = Script(
            (Turn("I work.", (Tool("Bash", {"command": "echo hello > hello.txt"}),)), DONE)
        )
        with the_run.machine(variables={"LANG": "C"}) as first:
            first.wait_for_exit()
            assert "'sh check.sh' timed out after 5 s (limits.command_timeout_seconds)" in first.log()
        assert the_run.run.state == "Failed"
        world.stack.model.requests.clear()
        the_run.run.retry()
        with the_run.machine(variables={"LANG": "C.UTF-8"}) as second:
            assert second.wait_for_exit() == 0, second.log()
        assert the_run.run.state == "Completed", second.log()
        assert the_run.requested_turns == 0, "the agent is not started again"
        assert world.content(BRANCH, "hello.txt") == "hello"
        [verified] = the_run.saved_run().verifications.rounds
        assert (verified.number, str(verified.verification.status)) == (0, "verified")
        assert the_run.left_behind() == []

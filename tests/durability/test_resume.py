"""What a resumed run restores: its session, its tree, its budget and its turns; and how much that saves."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.filesystems import LocalFileSystem

from deployments.local.loopback import ReceivedRequest
from deployments.local.scripted_model import Script
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from tests.durability.points import Point, during_turn, machine_at
from tests.durability.scene import TURNS, Scene, scene, steps, table_row
from tests.support.world import World

Record = Callable[[str, object], None]
BYTES_PER_TOKEN = 4


@pytest.fixture
def the_run(world: World, tmp_path: Path) -> Iterator[Scene]:
    with scene(world, tmp_path / "store") as new_scene:
        yield new_scene


def lose_in_turn(the_run: Scene, number: int) -> None:
    with machine_at(the_run, Point("", during_turn(number))) as machine:
        machine.lose()


def replace_session(the_run: Scene, session: bytes) -> None:
    """Replace the session in the newest checkpoint."""
    checkpoint = the_run.saved_run().checkpoint
    assert checkpoint
    store = RunStore(LocalFileSystem(basepath=str(the_run.store)), the_run.run.id)
    SavedRun(store).save_checkpoint(replace(checkpoint, session=session))


@pytest.mark.parametrize("session", [b"", b"no conversation\n", b'{"type": "user"}\n'], ids=["none", "text", "half"])
def test_a_session_that_cannot_be_resumed_is_replaced_and_the_new_one_is_told_so(
    the_run: Scene, session: bytes
) -> None:
    lose_in_turn(the_run, 7)
    replace_session(the_run, session)
    the_run.world.stack.model.requests.clear()
    with the_run.machine() as second:
        assert second.wait_for_exit() == 0, second.log()
        log = second.log()
    assert the_run.run.state == "Completed", log
    assert the_run.is_delivered(), log
    first_request = the_run.world.stack.model.requests[0].body.decode()
    assert "Take the steps" in first_request, "the prompt does not hold the instructions"
    assert "the conversation about it is lost" in first_request, "the prompt does not say that work was lost"


def test_a_resumed_run_sends_the_same_prefix_with_the_current_rules_and_paths(the_run: Scene) -> None:
    lose_in_turn(the_run, 4)
    requests = the_run.world.stack.model.requests
    first_body, first_run_folders = json.loads(requests[0].body), run_folders(requests[0])
    requests.clear()
    with get_client(sync_client=True) as client:
        parameters = client.read_flow_run(UUID(the_run.run.id)).parameters
        client.update_flow_run(UUID(the_run.run.id), parameters={**parameters, "policy": {"max_file_mb": 7}})
    with the_run.machine() as second:
        assert second.wait_for_exit() == 0, second.log()
    assert the_run.is_delivered()
    body = json.loads(requests[0].body)
    assert json.dumps(body["tools"]) == json.dumps(first_body["tools"])
    assert json.dumps(body["system"]) == json.dumps(first_body["system"])
    assert len(body["messages"]) > len(first_body["messages"]), "the conversation was not resumed"
    [prompt] = [text for text in user_texts(body) if "You were interrupted" in text]
    assert "larger than 7 MB" in prompt
    assert "Prefer short names." in prompt
    [folder] = run_folders(requests[0]) - first_run_folders
    assert folder in prompt
    assert not any(other in prompt for other in first_run_folders)


def run_folders(request: ReceivedRequest) -> set[str]:
    """Return the names of the runs' directories in a request."""
    return set(re.findall(r"machine-[A-Za-z0-9_]+/claude-code-headless-[0-9]+", request.body.decode()))


def user_texts(body: dict[str, Any]) -> list[str]:
    contents = [message["content"] for message in body["messages"] if message["role"] == "user"]
    blocks = [[{"text": content}] if isinstance(content, str) else content for content in contents]
    return [block["text"] for content in blocks for block in content if "text" in block]


def test_turns_count_over_all_attempts(world: World, tmp_path: Path) -> None:
    limits = {"checkpoint_seconds": 1, "max_turns": 9}
    with scene(world, tmp_path / "store", limits=limits) as the_run:
        lose_in_turn(the_run, 7)
        with the_run.machine() as second:
            second.wait_for_exit()
            assert the_run.run.state == "Failed", second.log()
            assert "TurnLimitReached" in second.log()
        checkpoint = the_run.saved_run().checkpoint
        assert checkpoint
        # Turns after the last checkpoint are not counted, because their record is lost.
        assert 9 <= checkpoint.spending["replies"] <= 10
        assert the_run.requested_turns <= 9 + 7


def test_another_machine_runs_the_setup_before_it_restores_the_work(world: World, tmp_path: Path) -> None:
    setup = {"setup_command": "echo the setup runs; echo made > made.txt; echo changed >> README.md"}
    with scene(world, tmp_path / "store", verification=setup) as the_run:
        lose_in_turn(the_run, 7)
        with the_run.machine() as second:
            assert second.wait_for_exit() == 0, second.log()
            assert "the setup runs" in second.log()
        assert the_run.run.state == "Completed"
        assert the_run.is_delivered()


def test_costs_count_over_all_attempts(world: World, tmp_path: Path) -> None:
    with scene(world, tmp_path / "store", limits={"checkpoint_seconds": 1}) as the_run:
        with the_run.machine() as whole:
            assert whole.wait_for_exit() == 0, whole.log()
        finished = the_run.saved_run().finished
        assert finished
        assert finished.report
        cost = finished.report.cost_usd
    limits = {"checkpoint_seconds": 1, "max_budget_usd": cost * 0.75}
    with scene(world, tmp_path / "store", limits=limits, branch_name="other") as the_run:
        lose_in_turn(the_run, 7)
        before = the_run.saved_run().checkpoint
        assert before
        with the_run.machine() as second:
            second.wait_for_exit()
            assert the_run.run.state == "Failed", second.log()
            assert "BudgetExceeded" in second.log()
        after = the_run.saved_run().checkpoint
        assert after
        assert before.spending["spent_usd"] < after.spending["spent_usd"] <= cost * 0.75 + cost / TURNS


def tokens(requests: list[ReceivedRequest]) -> int:
    """Estimate the tokens of requests and replies: four bytes per input token, and 150 tokens per reply."""
    return sum(len(request.body) // BYTES_PER_TOKEN + 150 for request in requests if "invoke" in request.path)


def test_resuming_after_a_loss_at_80_percent_costs_little_compared_with_starting_over(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path, record_property: Record
) -> None:
    costs = {}
    for way, store in (("is resumed", "store"), ("starts over", "another")):
        with ExitStack() as contexts:
            the_run = contexts.enter_context(
                scene(make_world({"README.md": "# A repository\n"}), tmp_path / way / "store")
            )
            the_run.world.stack.model.script = Script(steps(seconds=1))
            with the_run.machine() as first:
                first.wait_for(lambda _, the_run=the_run: the_run.requested_turns == 10)  # type: ignore[misc]
                first.lose()
            requests_before_loss = len(the_run.world.stack.model.requests)
            the_run.world.stack.model.script = Script(steps())
            the_run.store = tmp_path / way / store
            with the_run.machine() as second:
                assert second.wait_for_exit() == 0, second.log()
            assert the_run.is_delivered()
            requests = the_run.world.stack.model.requests
            costs[way] = (the_run.requested_turns - TURNS, tokens(requests), tokens(requests[requests_before_loss:]))
    tokens_of_whole_run = costs["starts over"][2]  # what a run without a loss takes
    for way, (turns, count, _) in costs.items():
        row = {
            "again": turns,
            "tokens": count - tokens_of_whole_run,
            "share": (count - tokens_of_whole_run) / tokens_of_whole_run,
        }
        record_property("durability", table_row(comparison=f"a 12-turn run lost in turn 10 {way}", **row))
    assert costs["is resumed"][0] <= 3
    assert costs["starts over"][0] == 10
    assert costs["is resumed"][1] - tokens_of_whole_run < (costs["starts over"][1] - tokens_of_whole_run) / 2

"""A long reply is not silence, a stalled one is asked for again, and an overloaded model is waited for."""

from collections.abc import Callable

import pytest

from deployments.local.scripted_model import ModelFault, Tool, Turn
from tests.support.runs import Run
from tests.support.world import World

WRITES = (Tool("Write", {"file_path": "{cwd}/a.txt", "content": "a"}),)
PROVIDERS = pytest.mark.parametrize("provider", ["bedrock", "anthropic"])


@PROVIDERS
@pytest.mark.parametrize(
    "turns",
    [
        (Turn("I write.", WRITES, ping_seconds=8), Turn("Done.")),
        (Turn("I write.", WRITES), Turn("Done.", ping_seconds=8)),
    ],
    ids=["first-reply", "last-reply"],
)
def test_a_reply_that_streams_for_longer_than_the_limit_of_silence_is_paid_once(
    world: World, run: Callable[..., Run], provider: str, turns: tuple[Turn, ...]
) -> None:
    world.script(*turns)
    flow_run = run(provider=provider, limits={"stall_timeout_seconds": 5})
    flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == 2


@PROVIDERS
def test_a_reply_that_stalls_is_asked_for_again_by_claude_code(
    world: World, run: Callable[..., Run], provider: str
) -> None:
    world.script(Turn("I write.", WRITES), Turn("Done.")).faults.append(ModelFault(stall_seconds=60))
    flow_run = run(provider=provider, limits={"stall_timeout_seconds": 30})
    flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == 3


@pytest.mark.parametrize(
    ("model", "faults"),
    [("claude-opus-5", 4), ("claude-opus-4-8", 4), ("claude-sonnet-5-5", 4), ("claude-haiku-5", 4)],
)
def test_an_overloaded_model_is_waited_for(world: World, run: Callable[..., Run], model: str, faults: int) -> None:
    world.stack.model.models.add(model)
    world.script().faults.extend([ModelFault(529)] * faults)
    flow_run = run(provider="anthropic", claude_model_id=model)
    flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == faults + 2

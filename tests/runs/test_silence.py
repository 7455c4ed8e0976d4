"""A long reply is not silence, a stalled one is asked for again, and an overloaded model is waited for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deployments.local.scripted_model import ModelFault, Tool, Turn
from tests.support.combinations import combinations, some
from tests.support.runs import Run
from tests.support.world import World

WRITES = (Tool("Write", {"file_path": "{cwd}/a.txt", "content": "a"}),)


@pytest.mark.parametrize(("provider", "slow_reply"), combinations(["bedrock", "anthropic"], [0, 1]))
def test_a_reply_that_streams_for_longer_than_the_limit_of_silence_is_paid_once(
    world: World, run: Callable[..., Run], provider: str, slow_reply: int
) -> None:
    turns = [Turn("I write.", WRITES), Turn("Done.")]
    turns[slow_reply] = replace(turns[slow_reply], ping_seconds=8)
    world.script(*turns)
    flow_run = run(provider=provider, limits={"stall_timeout_seconds": 5})
    flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == 2


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_a_reply_that_stalls_is_asked_for_again_by_claude_code(
    world: World, run: Callable[..., Run], provider: str
) -> None:
    world.script(Turn("I write.", WRITES), Turn("Done.")).faults.append(ModelFault(stall_seconds=60))
    flow_run = run(provider=provider, limits={"stall_timeout_seconds": 30})
    flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == 3


@pytest.mark.parametrize("model", some(["claude-opus-5", "claude-haiku-5"], ["claude-opus-4-8", "claude-sonnet-5-5"]))
def test_an_overloaded_model_is_waited_for(world: World, run: Callable[..., Run], model: str) -> None:
    faults = 4
    world.stack.model.models.add(model)
    world.script().faults.extend([ModelFault(529)] * faults)
    flow_run = run(provider="anthropic", claude_model_id=model)
    flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == faults + 2

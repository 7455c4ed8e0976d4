"""The budget in the complete flow with the real Claude Code: a run stops in time, and saves its work."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deployments.local.scripted_model import Tool, Turn
from flows.errors import BudgetExceeded
from flows.parameters.limits import Limits
from flows.parameters.provider import DEFAULT_MODEL_IDS, Provider
from tests.support.runs import Run
from tests.support.world import World

WRITES = tuple(
    Turn(f"I write {n}.", (Tool("Write", {"file_path": f"{{cwd}}/{n}.txt", "content": f"{n}\n"}),)) for n in range(5)
)
REPLY_USD = {"bedrock": 1200 * 2.2e-6 + 150 * 11e-6, "anthropic": 1200 * 2e-6 + 150 * 10e-6}
"""The cost of one reply of the scripted model, at the list price of the default models."""


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_the_run_stops_before_the_request_that_exceeds_the_budget_and_saves_its_work(
    world: World, run: Callable[..., Run], provider: Provider
) -> None:
    world.script(*WRITES, Turn("Done."))
    stopped_run = run(provider=provider, limits=Limits(max_budget_usd=1.5 * REPLY_USD[provider]))
    assert isinstance(stopped_run.error, BudgetExceeded)
    assert "raise limits.max_budget_usd" in str(stopped_run.error)
    assert stopped_run.run_count("claude") == 1
    paths = [request.path.partition("?")[0] for request in world.stack.model.requests]
    assert len([path for path in paths if "count" not in path]) == 2
    world.git("fetch", "--quiet", str(stopped_run.saved_file("change.bundle")), "refs/heads/*:refs/heads/saved/*")
    [branch] = [name for name in world.branches() if name.startswith("saved/")]
    assert world.content(branch, "0.txt") == "0"
    assert world.branches() == {"main", branch}


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_the_cost_of_a_run_is_the_sum_of_its_replies(world: World, run: Callable[..., Run], provider: Provider) -> None:
    world.script(*WRITES, Turn("Done."))
    flow_run = run(provider=provider)
    assert flow_run.delivered().cost_usd == pytest.approx(6 * REPLY_USD[provider])
    assert f"${6 * REPLY_USD[provider]:.4f}" in flow_run.artifact()


def test_a_model_of_unknown_price_is_counted_high_with_a_warning(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    del world
    run(claude_model_id="claude-of-tomorrow")
    assert "the price of claude-of-tomorrow is unknown" in caplog.text
    assert DEFAULT_MODEL_IDS["bedrock"] not in caplog.text


def test_what_the_cache_saved_is_in_the_result_and_in_the_report(world: World, run: Callable[..., Run]) -> None:
    usage = {"input_tokens": 1000, "cache_read_input_tokens": 9000}
    world.script(replace(WRITES[0], usage=usage), Turn("Done.", usage=usage))
    flow_run = run()
    saved_usd = 2 * 9000 * (2.2e-6 - 0.11e-6)
    assert flow_run.delivered().cache_read_tokens == 18_000
    assert flow_run.delivered().cache_saved_usd == pytest.approx(saved_usd)
    row = f"| Cache | 90% of the input tokens were read from the cache, which saved ${saved_usd:.4f} |"
    assert row in flow_run.artifact()

"""The budget, through the whole flow with the real Claude Code: a stop before the money is spent, and the work kept."""

from collections.abc import Callable

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
"""What the scripted model's replies take, at the list price of the default models."""


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_the_run_stops_before_the_request_above_the_budget_and_keeps_its_work(
    world: World, run: Callable[..., Run], provider: Provider
) -> None:
    world.script(*WRITES, Turn("Done."))
    stopped = run(provider=provider, limits=Limits(max_budget_usd=1.5 * REPLY_USD[provider]))
    assert isinstance(stopped.error, BudgetExceeded)
    assert "raise limits.max_budget_usd" in str(stopped.error)
    assert stopped.run_count("claude") == 1
    paths = [asked.path.partition("?")[0] for asked in world.stack.model.asked]
    assert len([path for path in paths if "count" not in path]) == 2
    world.git("fetch", "--quiet", str(stopped.saved_file("change.bundle")), "refs/heads/*:refs/heads/kept/*")
    [branch] = [name for name in world.branches() if name.startswith("kept/")]
    assert world.content(branch, "0.txt") == "0"
    assert world.branches() == {"main", branch}


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
def test_the_cost_is_what_the_replies_took(world: World, run: Callable[..., Run], provider: Provider) -> None:
    world.script(*WRITES, Turn("Done."))
    done = run(provider=provider)
    assert done.delivered().cost_usd == pytest.approx(6 * REPLY_USD[provider])
    assert f"${6 * REPLY_USD[provider]:.4f}" in done.artifact()


def test_a_model_of_unknown_price_is_counted_high_and_said_so(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    del world
    run(claude_model_id="claude-of-tomorrow")
    assert "the price of claude-of-tomorrow is not known" in caplog.text
    assert DEFAULT_MODEL_IDS["bedrock"] not in caplog.text

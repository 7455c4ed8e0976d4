"""One process of Claude Code gets what is left of the run's limits."""

import pytest

from flows import errors
from flows.agent.remaining import options_for_one_process
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.limits import Limits

OPTIONS = ClaudeCodeOptions(limits=Limits(max_turns=10, agent_timeout_seconds=100))
UNLIMITED = ClaudeCodeOptions(limits=Limits(max_turns=0, agent_timeout_seconds=0))


@pytest.mark.parametrize(
    ("turns", "seconds", "left"), [(0, 0, (10, 100)), (3, 0, (7, 100)), (3, 40.5, (7, 60)), (9, 99.9, (1, 1))]
)
def test_turns_and_time_are_subtracted(turns: int, seconds: float, left: tuple[int, int]) -> None:
    limits = options_for_one_process(OPTIONS, turns, seconds).limits
    assert (limits.max_turns, limits.agent_timeout_seconds) == left


def test_without_a_limit_nothing_is_subtracted() -> None:
    assert options_for_one_process(UNLIMITED, 50, 5000) == UNLIMITED


@pytest.mark.parametrize(
    ("turns", "seconds", "error"), [(10, 0, errors.TurnLimitReached), (1, 100, errors.AgentTimeout)]
)
def test_if_nothing_is_left_no_process_starts(turns: int, seconds: float, error: type[errors.RunError]) -> None:
    with pytest.raises(error, match=r"raise limits\."):
        options_for_one_process(OPTIONS, turns, seconds)

"""Which errors of a step are retried, and that every failure of a step has a named error."""

import pytest
from prefect.states import Failed

from flows import errors
from flows.tasks.task import RETRIES, RETRY_DELAYS_SECONDS, is_retryable, step


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (errors.RemoteUnavailable("x"), True),
        (errors.InstructionsUnavailable("x"), True),
        (errors.ModelUnavailable("x"), True),
        (errors.AgentCrashed("x"), True),
        (errors.GitAuthFailed("x"), False),
        (errors.ModelNotFound("x"), False),
        (errors.InvalidSettings("x"), False),
        (ConnectionError("x"), False),
    ],
)
def test_only_retryable_errors_are_retried(error: Exception, retried: bool) -> None:
    # Prefect also passes a task and a task run to the condition, which ignores them.
    assert is_retryable(None, None, Failed(data=error)) is retried  # type: ignore[arg-type]


def test_there_is_a_delay_for_each_retry() -> None:
    assert len(RETRY_DELAYS_SECONDS) == RETRIES


def test_an_unexpected_error_in_a_step_becomes_a_named_error_and_is_redacted() -> None:
    @step("broken")
    def broken() -> None:
        raise KeyError("ghp_" + "a" * 36)

    with pytest.raises(errors.Unexpected, match=r"KeyError: '\*\*\*'") as caught:
        broken.fn()
    assert isinstance(caught.value.__cause__, KeyError)
    assert not is_retryable(None, None, Failed(data=caught.value))  # type: ignore[arg-type]


def test_a_named_error_of_a_step_is_raised_unchanged() -> None:
    error = errors.RepoNotFound("x")

    @step("refused")
    def refused() -> None:
        raise error

    with pytest.raises(errors.RepoNotFound) as caught:
        refused.fn()
    assert caught.value is error

"""The provider's own words decide how a failed run is named, with the real Claude Code and its paraphrases."""

from collections.abc import Callable

import pytest

from deployments.local.scripted_model import ModelFault, Turn
from flows import errors
from flows.agent.command import environment
from flows.tasks.claude import run_claude
from tests.support.combinations import combinations
from tests.support.runs import Run
from tests.support.world import World

ANTHROPIC, BEDROCK = "anthropic", "bedrock"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let neither Claude Code nor the step repeat what fails, which takes minutes."""
    monkeypatch.setattr(
        "flows.agent.session.environment",
        lambda *arguments, **options: {
            **environment(*arguments, **options),
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS": "1",
        },
    )
    monkeypatch.setattr(run_claude, "retries", 0)


@pytest.mark.parametrize(
    ("provider", "status", "words", "error", "advice"),
    [
        (BEDROCK, 404, "Model use case details have not been submitted for this account. Fill out the Anthropic use "
         "case details form before using the model.", errors.ModelAccessDenied, "submit the use case details"),
        (BEDROCK, 400, "Invocation of model ID anthropic.claude-x with on-demand throughput isn\u2019t supported. "
         "Retry your request with the ID or ARN of an inference profile that contains this model.",
         errors.ModelNotFound, "such as us.anthropic."),
        (BEDROCK, 400, "Operation not allowed", errors.ModelAccessDenied, "AWS support"),
        (BEDROCK, 403, "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be "
         "provided.", errors.ModelAccessDenied, "check the credentials"),
        (BEDROCK, 404, "Access denied. This Model is marked by provider as Legacy and you have not been actively using "
         "the model in the last 30 days.", errors.ModelNotFound, "check claude_model_id"),
        (BEDROCK, 400, "Access to Bedrock models is not allowed for this account. Please contact AWS Customer Support.",
         errors.ModelAccessDenied, "check the credentials"),
        (BEDROCK, 429, "Too many tokens per day, please wait before trying again.",
         errors.ModelQuotaExceeded, "raise the quota"),
        (BEDROCK, 429, "Too many tokens, please wait before trying again.", errors.ModelUnavailable, "did not answer"),
        (BEDROCK, 400, "Input is too long for requested model.", errors.PromptTooLong, "smaller tasks"),
        (BEDROCK, 503, "Bedrock is unable to process your request.", errors.ModelUnavailable, "did not answer"),
        (ANTHROPIC, 400, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
         errors.ModelQuotaExceeded, "add credit"),
        (ANTHROPIC, 400, "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
         errors.ModelQuotaExceeded, "regain access on 2026-12-01"),
        (ANTHROPIC, 400, "This organization has been disabled.", errors.ModelAccessDenied, "check the credentials"),
        (ANTHROPIC, 403, "Your account does not have access to Claude.", errors.ModelAccessDenied, "does not have"),
        (ANTHROPIC, 429, "This request would exceed your organization's rate limit of 30,000 input tokens per minute.",
         errors.ModelUnavailable, "30,000 input tokens"),
        (ANTHROPIC, 400, "input length and `max_tokens` exceed context limit: 197202 + 21333 > 200000",
         errors.PromptTooLong, "smaller tasks"),
        (ANTHROPIC, 400, "Output blocked by content filtering policy", errors.ModelRefused, "reword"),
        (ANTHROPIC, 400, "messages.3: connections are a field that nobody knows", errors.AgentFailed, "nobody knows"),
    ],
)  # fmt: skip
def test_the_words_of_the_provider_decide_the_name_and_are_in_the_message(
    world: World,
    run: Callable[..., Run],
    provider: str,
    status: int,
    words: str,
    error: type[errors.RunError],
    advice: str,
) -> None:
    world.script().faults.extend([ModelFault(status, words)] * 50)
    failed_run = run(provider=provider)
    assert type(failed_run.error) is error
    assert words in str(failed_run.error)
    assert advice in str(failed_run.error)


@pytest.mark.parametrize(
    ("provider", "fault", "error"),
    [
        (ANTHROPIC, ModelFault(200, "Overloaded", "overloaded_error"), errors.ModelUnavailable),
        (ANTHROPIC, ModelFault(200, "Number of requests has exceeded your rate limit", "rate_limit_error"),
         errors.ModelUnavailable),
        (ANTHROPIC, ModelFault(200, "This organization has been disabled.", "invalid_request_error"),
         errors.ModelAccessDenied),
        (BEDROCK, ModelFault(200, "The system encountered an unexpected error.", "modelStreamErrorException"),
         errors.ModelUnavailable),
        (BEDROCK, ModelFault(200, "Too many requests, please wait.", "throttlingException"), errors.ModelUnavailable),
        (BEDROCK, ModelFault(200, "prompt is too long: 201000 tokens", "validationException"), errors.PromptTooLong),
    ],
)  # fmt: skip
def test_an_error_within_the_stream_has_a_name_too(
    world: World, run: Callable[..., Run], provider: str, fault: ModelFault, error: type[errors.RunError]
) -> None:
    world.script().faults.extend([fault] * 50)
    failed_run = run(provider=provider)
    assert type(failed_run.error) is error
    assert fault.message in str(failed_run.error)


@pytest.mark.parametrize("provider", [ANTHROPIC, BEDROCK])
def test_a_connection_that_breaks_in_the_middle_of_each_reply_can_be_tried_again(
    world: World, run: Callable[..., Run], provider: str
) -> None:
    world.script().faults.extend([ModelFault()] * 50)
    failed_run = run(provider=provider)
    assert type(failed_run.error) is errors.ModelUnavailable


STOPS: list[tuple[dict[str, object], type[errors.RunError]]] = [
    ({"stop_reason": "refusal"}, errors.ModelRefused),
    (
        {"stop_reason": "refusal", "stop_details": {"category": "cyber", "explanation": "It asks for malware."}},
        errors.ModelRefused,
    ),
    ({"stop_reason": "model_context_window_exceeded"}, errors.PromptTooLong),
]


@pytest.mark.parametrize(("provider", "stop_and_error"), combinations([ANTHROPIC, BEDROCK], STOPS))
def test_the_reason_for_which_a_reply_stopped_decides_the_name(
    world: World,
    run: Callable[..., Run],
    provider: str,
    stop_and_error: tuple[dict[str, object], type[errors.RunError]],
) -> None:
    stop, error = stop_and_error
    world.script(Turn("I will not.", stop=stop))
    failed_run = run(provider=provider)
    assert type(failed_run.error) is error
    details = stop.get("stop_details", {})
    assert isinstance(details, dict)
    assert str(details.get("explanation", "")) in str(failed_run.error)

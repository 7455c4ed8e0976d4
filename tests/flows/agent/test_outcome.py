"""Each way in which the agent's run can end is judged correctly. The cases were observed with the real binary."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows import errors
from flows.agent.event_parser import typed_events
from flows.agent.event_types import Result
from flows.agent.outcome import AgentRun, judge
from flows.model.cache_use import CacheUse
from flows.model.provider_error import ProviderError
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.limits import Limits
from flows.state.agent_report import AgentReport

OPTIONS = ClaudeCodeOptions(
    claude_model_id="the-model",
    aws_region="eu-west-1",
    limits=Limits(max_turns=7, max_budget_usd=1.5, agent_timeout_seconds=60, stall_timeout_seconds=30),
)
SUCCESS: dict[str, Any] = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "All done.",
    "num_turns": 4,
    "session_id": "5985dfbc-f6b7-43dc-be5d-80fab5decab3",
    "total_cost_usd": 0.0032,
    "duration_ms": 1250,
    "modelUsage": {"the-model": {"inputTokens": 400}},
    "permission_denials": [],
    "terminal_reason": "completed",
    "api_error_status": None,
    "stop_reason": "end_turn",
}
NO_OUTPUT = AgentRun(None, 1, "")


def api_error(status: int | None, message: str) -> dict[str, Any]:
    """Return the result event of an API error. Its `subtype` is `success` nevertheless."""
    return {**SUCCESS, "is_error": True, "api_error_status": status, "result": message, "terminal_reason": "api_error"}


def parse_result(result: dict[str, Any]) -> Result:
    [event] = typed_events(result)
    assert isinstance(event, Result)
    return event


def run_with(result: dict[str, Any], exit_status: int | None = 0) -> AgentRun:
    return AgentRun(parse_result(result), exit_status, "", model_replied=True)


@pytest.mark.parametrize(
    ("status", "message", "error", "retryable"),
    [
        (401, "Not logged in · Please run /login", errors.ModelAccessDenied, False),
        (403, "Failed to authenticate. API Error: 403 no", errors.ModelAccessDenied, False),
        (
            403,
            "AWS authentication failed · refresh your AWS credentials · API Error: 403",
            errors.ModelAccessDenied,
            False,
        ),
        (404, "There's an issue with the selected model (x). It may not exist.", errors.ModelNotFound, False),
        (None, "There's an issue with the selected model (x). It may not exist.", errors.ModelNotFound, False),
        (404, "The model x is not available on your bedrock deployment.", errors.ModelNotFound, False),
        (400, "API Error (x): 400 The provided model identifier is invalid..", errors.ModelNotFound, False),
        (None, "model_not_found", errors.ModelNotFound, False),
        (429, "API Error: Request rejected (429) · Too many", errors.ModelUnavailable, True),
        (408, "API Error: 408", errors.ModelUnavailable, True),
        (500, "API Error: 500 Internal.", errors.ModelUnavailable, True),
        (503, "API Error: 503", errors.ModelUnavailable, True),
        (529, "API Error: 529 Overloaded.", errors.ModelUnavailable, True),
        (None, "API Error: Connection refused — a firewall may block it (ECONNREFUSED)", errors.ModelUnavailable, True),
        (None, "API Error: Connection dropped (ECONNRESET).", errors.ModelUnavailable, True),
        (None, "API Error: Request timed out.", errors.ModelUnavailable, True),
        (400, "Prompt is too long · the request is ~300000 tokens", errors.PromptTooLong, False),
        (None, "Prompt is too long", errors.PromptTooLong, False),
        (None, "API Error: Rate limit reached", errors.ModelUnavailable, True),
        (None, "API Error: Response stalled mid-stream", errors.ModelUnavailable, True),
        (
            None,
            "API Error: Connection closed mid-response. The response above may be incomplete.",
            errors.ModelUnavailable,
            True,
        ),
        (None, "API Error: The model has reached its context window limit.", errors.PromptTooLong, False),
        (
            None,
            "API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy",
            errors.ModelRefused,
            False,
        ),
        (400, "Credit balance is too low", errors.ModelQuotaExceeded, False),
        (400, "API Error: 400 This organization has been disabled.", errors.ModelAccessDenied, False),
        (400, "API Error: 400 the connection of two fields is wrong", errors.AgentFailed, False),
        (400, "API Error: 400 other", errors.AgentFailed, False),
        (402, "API Error: 402 credit", errors.ModelQuotaExceeded, False),
    ],
)
def test_an_api_error_has_a_name_although_its_subtype_is_success(
    status: int | None, message: str, error: type[errors.RunError], retryable: bool
) -> None:
    with pytest.raises(errors.RunError) as caught:
        judge(run_with(api_error(status, message), 1), OPTIONS)
    assert type(caught.value) is error
    assert caught.value.retryable is retryable
    assert "bedrock model 'the-model'" in str(caught.value) or message in str(caught.value)


@pytest.mark.parametrize(
    ("seen", "error"),
    [
        (ProviderError(529, "overloaded_error", "Overloaded"), errors.ModelUnavailable),
        (ProviderError(200, "refusal", ""), errors.ModelRefused),
        (ProviderError(404, "ResourceNotFoundException", "Model use case details have not been submitted"),
         errors.ModelAccessDenied),
        (ProviderError(0, "connection error", "ConnectError: all attempts failed"), errors.ModelUnavailable),
        (ProviderError(400, "invalid_request_error", "tools.3: unknown"), errors.ModelNotFound),
        (None, errors.ModelNotFound),
    ],
)  # fmt: skip
def test_what_the_gateway_saw_decides_before_what_claude_code_says(
    seen: ProviderError | None, error: type[errors.RunError]
) -> None:
    paraphrase = "There's an issue with the selected model"
    with pytest.raises(error) as caught:
        judge(replace(run_with(api_error(404, paraphrase), 1), provider_error=seen), OPTIONS)
    assert type(caught.value) is error


def test_the_words_of_the_gateway_are_in_a_message_that_they_do_not_name() -> None:
    seen = ProviderError(400, "invalid_request_error", "tools.3: unknown")
    with pytest.raises(errors.AgentFailed, match=r"400 invalid_request_error: tools\.3: unknown"):
        judge(replace(run_with(api_error(400, "API Error: 400"), 1), provider_error=seen), OPTIONS)


@pytest.mark.parametrize(
    ("run", "error", "retryable", "message"),
    [
        (run_with({**SUCCESS, "subtype": "error_max_turns", "is_error": True}, 1),
         errors.TurnLimitReached, False, "7 turns: raise limits.max_turns"),
        (replace(run_with(api_error(403, "the run's budget of $1.5 is used up"), 1), over_budget=True, cost_usd=1.51),
         errors.BudgetExceeded, False, r"\$1.51, and the budget is \$1.50: raise limits.max_budget_usd"),
        (AgentRun(None, 1, "", over_budget=True, cost_usd=1.51),
         errors.BudgetExceeded, False, r"\$1.51, and the budget is \$1.50"),
        (replace(run_with(api_error(403, "denied"), 1), cost_usd=1.4), errors.ModelAccessDenied, False, "denied"),
        (run_with({**SUCCESS, "subtype": "error_during_execution", "is_error": True, "result": "",
                   "errors": ["broke"]}),
         errors.AgentFailed, False, "broke"),
        (run_with({**SUCCESS, "subtype": "error_during_execution"}), errors.AgentFailed, False, "error"),
        (run_with({"type": "result"}, 0), errors.AgentFailed, False, "error"),
        (AgentRun(parse_result(SUCCESS), 0, "", model_replied=False),
         errors.AgentFailed, False, "the model never replied"),
        (AgentRun(None, 1, "Error: Input must be provided either through stdin or as a prompt argument"),
         errors.AgentFailed, False, "Input must be provided"),
        (AgentRun(None, 1, "error: unknown option '--x'"), errors.AgentFailed, False, "unknown option"),
        (NO_OUTPUT, errors.AgentFailed, False, "no output"),
        (AgentRun(None, -9, "", model_replied=True), errors.AgentCrashed, True, "exit status -9"),
        (AgentRun(None, -11, "Segmentation fault"), errors.AgentCrashed, True, "Segmentation fault"),
        (AgentRun(None, 0, "", model_replied=True), errors.AgentCrashed, True, "without a result"),
        (AgentRun(None, 143, "", model_replied=True), errors.AgentCrashed, True, "143"),
        (AgentRun(None, 1, "TypeError: x is not a function", model_replied=True),
         errors.AgentCrashed, True, "without a result"),
        (AgentRun(None, None, "", end_reason="timeout", model_replied=True),
         errors.AgentTimeout, False, "60 s and was ended: raise limits.agent_timeout_seconds"),
        (AgentRun(parse_result(SUCCESS), None, "", end_reason="timeout", model_replied=True),
         errors.AgentTimeout, False, "60 s"),
        (AgentRun(None, None, "", end_reason="stall"), errors.AgentStalled, True, "no output for 30 s"),
        (AgentRun(parse_result(api_error(500, "x")), None, "", end_reason="stall", model_replied=True),
         errors.AgentStalled, True, "30 s"),
    ],
    ids=[
        "max turns", "max budget", "budget without a result", "403 within the budget",
        "SIGINT", "error without is_error", "bare result", "no reply of the model", "empty prompt",
        "bad flag", "silent exit", "SIGKILL", "SIGSEGV", "exit 0 without result", "SIGTERM", "exit 1 in the middle",
        "timeout", "timeout after a result", "stall", "stall after an error",
    ],
)  # fmt: skip
def test_every_failure_has_a_name(run: AgentRun, error: type[errors.RunError], retryable: bool, message: str) -> None:
    with pytest.raises(errors.RunError, match=message) as caught:
        judge(run, OPTIONS)
    assert type(caught.value) is error
    assert caught.value.retryable is retryable


def test_a_success_is_reported_with_what_it_took() -> None:
    cache = CacheUse(500, 400, 0.25)
    assert judge(replace(run_with(SUCCESS), cost_usd=0.5, cache=cache), OPTIONS) == AgentReport(
        summary="All done.",
        turns=4,
        cost_usd=0.5,
        duration_seconds=1.25,
        session_id="5985dfbc-f6b7-43dc-be5d-80fab5decab3",
        model_usage={"the-model": {"inputTokens": 400}},
        permission_denials=(),
        cache=cache,
    )


@pytest.mark.parametrize("exit_status", [0, 1, None, -9])
def test_a_good_result_counts_for_any_exit_status(exit_status: int | None) -> None:
    assert judge(run_with(SUCCESS, exit_status), OPTIONS).summary == "All done."


def test_a_success_counts_even_if_another_request_exceeded_the_budget() -> None:
    assert judge(replace(run_with(SUCCESS), over_budget=True), OPTIONS).summary == "All done."


def test_denied_tools_are_reported_with_a_success() -> None:
    denials = [{"tool_name": "WebFetch", "tool_use_id": "1", "tool_input": {}}, {"tool_name": "Bash"}]
    report = judge(run_with({**SUCCESS, "permission_denials": denials}), OPTIONS)
    assert report.permission_denials == ("WebFetch", "Bash")


def test_a_success_without_other_fields_gives_an_empty_report() -> None:
    bare = {"type": "result", "subtype": "success"}
    assert judge(run_with(bare), OPTIONS) == AgentReport("", 0, 0.0, 0.0, "", {}, ())


def test_a_long_error_is_shortened() -> None:
    with pytest.raises(errors.AgentFailed) as caught:
        judge(run_with(api_error(400, "x" * 10_000), 1), OPTIONS)
    assert 400 < len(str(caught.value)) < 700
    with pytest.raises(errors.AgentFailed) as caught:
        judge(AgentRun(None, 1, "x" * 10_000 + "the end"), OPTIONS)
    assert str(caught.value).endswith("the end")
    assert len(str(caught.value)) < 700


def test_a_secret_at_the_cut_of_a_long_error_is_redacted() -> None:
    token = "ghp_" + "a1B2" * 9
    for run in (run_with(api_error(400, "x" * 480 + token), 1), AgentRun(None, 1, token + "x" * 480)):
        with pytest.raises(errors.AgentFailed) as caught:
            judge(run, OPTIONS)
        assert "a1B2" not in str(caught.value)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
RESULTS = st.fixed_dictionaries({}, optional=dict.fromkeys([*SUCCESS, "errors"], JSON_VALUES)).map(
    lambda odd_fields: {**SUCCESS, **odd_fields, "type": "result"}
)


@given(RESULTS, st.booleans())
@example({**SUCCESS, "num_turns": "four"}, True)  # noqa: FBT003 (Hypothesis takes positions)
@example({**SUCCESS, "total_cost_usd": []}, True)  # noqa: FBT003 (as above)
@example({**SUCCESS, "num_turns": float("inf")}, True)  # noqa: FBT003 (as above)
@example({**api_error(None, ""), "api_error_status": []}, True)  # noqa: FBT003 (as above)
def test_fields_of_unexpected_types_give_a_report_or_a_named_error(result: dict[str, Any], model_replied: bool) -> None:
    # The agent's own children can write into this stream: they have its uid.
    try:
        report = judge(AgentRun(parse_result(result), 0, "", model_replied=model_replied), OPTIONS)
    except errors.RunError:
        return
    assert result["subtype"] == "success"
    assert model_replied
    assert isinstance(report.turns, int)

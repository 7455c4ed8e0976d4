"""The scripted model can report the tokens that a provider with a prompt cache counts; the meter comes to its bill."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import httpx
import pytest
from pydantic import SecretStr

from deployments.local.scripted_model import ModelFault, ScriptedModel
from flows.model.gateway import Gateway, gateway
from flows.model.gateway_token import GATEWAY_TOKEN_HEADER
from flows.model.meter import Meter
from flows.model.prices import ModelPrice
from flows.model.providers import Anthropic, Bedrock, ModelProvider
from flows.parameters.provider import DEFAULT_MODEL_IDS, Provider
from tests.support.prompt_cache import PromptCache
from tests.support.provider_bill import bill_usd

KEYS = ("the-api-key", "AKIDOFTHETEST", "the-secret-access-key")
MARK = {"cache_control": {"type": "ephemeral"}}
MARK_1H = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(*KEYS) as server:
        yield server


@pytest.fixture
def cache(model: ScriptedModel) -> PromptCache:
    prompt_cache = PromptCache()
    model.count_tokens = prompt_cache.receive
    return prompt_cache


def conversation(turns: int, marks: Mapping[str, Any] = MARK) -> dict[str, Any]:
    words: list[dict[str, Any]] = [{"type": "text", "text": f"turn {turn} " * 300} for turn in range(turns)]
    words[-1] |= marks
    return {
        "max_tokens": 9,
        "system": [{"type": "text", "text": "You work. " * 500, **MARK_1H}],
        "messages": [{"role": "user", "content": words}],
    }


def connect(provider: Provider, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> ModelProvider:
    if provider == "anthropic":
        return Anthropic(SecretStr(KEYS[0]), DEFAULT_MODEL_IDS[provider], model.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
    session = boto3.Session(*KEYS[1:], region_name="us-east-1")
    return Bedrock(session, "us-east-1", DEFAULT_MODEL_IDS[provider])


def post(server: Gateway, provider: Provider, body: dict[str, Any], *, stream: bool) -> httpx.Response:
    model_id = DEFAULT_MODEL_IDS[provider]
    if provider == "anthropic":
        path, body = "/v1/messages", {**body, "model": model_id, "stream": stream}
    else:
        path = f"/model/{model_id}/{'invoke-with-response-stream' if stream else 'invoke'}"
    return httpx.post(server.url + path, json=body, headers={GATEWAY_TOKEN_HEADER: server.token}, trust_env=False)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("provider", ["anthropic", "bedrock"])
def test_the_meters_cost_of_a_conversation_is_the_providers_bill(
    model: ScriptedModel, cache: PromptCache, monkeypatch: pytest.MonkeyPatch, provider: Provider, *, stream: bool
) -> None:
    meter = Meter(ModelPrice.of(provider, DEFAULT_MODEL_IDS[provider]))
    with gateway(connect(provider, model, monkeypatch), meter) as server:
        for turns in (1, 2, 3):
            assert post(server, provider, conversation(turns), stream=stream).status_code == 200
    first, second, third = cache.requests
    assert first.written_1h == first.tokens_of("system") > 0
    assert first.written_5m > 0
    assert (second.read, third.read) == (first.tokens, second.tokens)
    assert meter.is_exact
    assert math.isclose(meter.spent_usd, bill_usd(cache.requests), rel_tol=1e-9)


def test_a_request_that_the_provider_refuses_gets_its_status_and_costs_nothing(
    model: ScriptedModel, cache: PromptCache
) -> None:
    meter = Meter(ModelPrice.of("anthropic", DEFAULT_MODEL_IDS["anthropic"]))
    body = {**conversation(1), "system": [{"type": "text", "text": "x", **MARK}]}
    body["messages"][0]["content"][-1] |= MARK_1H
    with gateway(Anthropic(SecretStr(KEYS[0]), DEFAULT_MODEL_IDS["anthropic"], model.url), meter) as server:
        response = post(server, "anthropic", body, stream=True)
    assert response.status_code == 400
    assert "must not come after" in response.text
    assert cache.requests == []
    assert meter.spent_usd == 0


def test_a_request_that_fails_before_its_reply_writes_nothing(model: ScriptedModel, cache: PromptCache) -> None:
    model.script.faults.extend([ModelFault(529), ModelFault(500)])
    headers = {"x-api-key": KEYS[0]}
    body = {**conversation(1), "model": DEFAULT_MODEL_IDS["anthropic"]}
    statuses = [httpx.post(f"{model.url}/v1/messages", json=body, headers=headers).status_code for _ in range(3)]
    assert statuses == [529, 500, 200]
    assert bill_usd(cache.requests) > 0
    assert [request.read for request in cache.requests] == [0]

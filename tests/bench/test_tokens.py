"""The table of row 12 shows what small recorded requests contain, and misses its goals when they do."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from flows.model.prices import ModelPrice
from tests.bench.measures import Measure
from tests.bench.tokens import Recording, Recordings, measures
from tests.support.prompt_cache import PromptCache

MODEL = "claude-sonnet-5-5"
MARK = {"cache_control": {"type": "ephemeral"}}
INSTRUCTIONS = 'Say "hello".\nTwice.'


def body(system: str = "You work.", message: str = INSTRUCTIONS, tools: int = 4000) -> dict[str, Any]:
    return {
        "model": MODEL,
        "tools": [{"name": "Bash", "description": "x" * tools, "input_schema": {}}],
        "system": [{"type": "text", "text": system, **MARK}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": f"Do:\n{message}", **MARK}]}],
    }


TITLE = {"model": MODEL, "system": "Name this conversation.", "messages": [{"role": "user", "content": "Do"}]}
"""A request that Claude Code may send beside the conversation. It offers no tools."""


def recording(cache: PromptCache, *bodies: Mapping[str, Any], instructions: str = INSTRUCTIONS) -> Recording:
    requests = []
    for request_body in bodies:
        requests.append(cache.receive(request_body))
        requests[-1].begin_reply(150)
    price = ModelPrice.of("anthropic", MODEL)
    metered = sum(price.usd({**request.usage, "output_tokens": 150}) for request in requests)
    return Recording(requests, instructions, metered)


def recordings() -> Recordings:
    cache = PromptCache()
    later = body()
    later["messages"] += [{"role": "user", "content": "Continue."}]
    return Recordings(
        plain=recording(PromptCache(), TITLE, body(tools=9000)),
        ours=recording(cache, TITLE, body()),
        other_repository=recording(cache, body(message="Say goodbye."), instructions="Say goodbye."),
        resumed=recording(cache, later),
        followed_up=recording(cache, later),
        features={"a longer prompt": recording(PromptCache(), body(system="You work well."))},
    )


def lines(all_recordings: Recordings) -> dict[str, Measure]:
    return {measure.work: measure for measure in measures(all_recordings)}


def line(all_recordings: Recordings, words: str) -> Measure:
    [measure] = [measure for work, measure in lines(all_recordings).items() if words in work]
    return measure


def test_every_goal_is_met_by_requests_that_meet_it() -> None:
    table = lines(recordings())
    assert [work for work, measure in table.items() if not measure.met] == []
    assert len(table) == 6
    assert {measure.row for measure in table.values()} == {12}


def test_the_fixed_part_leaves_out_the_instructions() -> None:
    few, long_text = recordings(), "much " * 900
    much = replace(few, ours=recording(PromptCache(), body(message=long_text), instructions=long_text))
    assert line(few, "fixed part").sides == line(much, "fixed part").sides
    assert line(few, "fixed part").figure.startswith("0.4")
    assert not line(replace(few, plain=few.ours), "fixed part").met


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        pytest.param({"system": "You work in /tmp/x."}, "0%", id="system"),
        pytest.param({"tools": 4001}, "0%", id="tools"),
        pytest.param({"message": "another"}, "100%", id="message"),
    ],
)
def test_tools_and_system_are_read_only_if_they_are_the_same_bytes(change: dict[str, Any], figure: str) -> None:
    cache = PromptCache()
    recording(cache, body())
    all_recordings = replace(recordings(), other_repository=recording(cache, body(**change)))
    measure = line(all_recordings, "tools and system")
    assert (measure.figure, measure.met) == (figure, figure == "100%")


@pytest.mark.parametrize("words", ["resumed run", "follow-up"])
def test_a_later_run_that_reads_nothing_misses_the_goal(words: str) -> None:
    nothing = recording(PromptCache(), body())
    measure = line(replace(recordings(), resumed=nothing, followed_up=nothing), words)
    assert (measure.figure, measure.met) == ("100.0%", False)


def test_a_meter_that_counts_another_sum_is_seen() -> None:
    all_recordings = recordings()
    dearer = replace(all_recordings.ours, metered_usd=all_recordings.ours.metered_usd + 1e-6)
    assert not line(replace(all_recordings, ours=dearer), "meter").met


def test_a_feature_shows_the_characters_that_it_adds() -> None:
    measure = line(recordings(), "a longer prompt")
    assert measure.figure == "+5 characters"
    assert "system 5" in measure.sides

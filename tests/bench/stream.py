"""Row 5: 20,000 events, 100 MB, as fast as a pipe delivers them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench.fetching import step
from tests.bench.measures import Measure, medians
from tests.bench.sides import Sides, pairs

_EVENTS: Final = 20_000
_TEXT_BYTES: Final = 5_000
_GOAL_MB_A_SECOND: Final = 20
_GOAL_MB: Final = 60


def _event(number: int) -> dict[str, Any]:
    """Return one event of three kinds in turn, as in claude's stream: a text, a tool call, its result."""
    text = f"{number} " + "words of the agent, " * (_TEXT_BYTES // 20)
    kinds = (
        ("assistant", {"type": "text", "text": text}),
        (
            "assistant",
            {"type": "tool_use", "name": "Write", "id": "t", "input": {"file_path": "a.py", "content": text}},
        ),
        ("user", {"type": "tool_result", "tool_use_id": "t", "content": text}),
    )
    kind, block = kinds[number % 3]
    return {"type": kind, "message": {"role": kind, "content": [block]}, "session_id": "s", "uuid": f"u{number}"}


def events_file(directory: Path) -> Path:
    """Write the stream to a file; return its path."""
    path = directory / "events.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(_event(number)) + "\n" for number in range(_EVENTS))
        file.write(json.dumps({"type": "result", "subtype": "success", "num_turns": 9, "is_error": False}) + "\n")
    return path


def stream(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 5: reading the agent's events."""
    path = events_file(sides.region.directory)
    megabytes = path.stat().st_size / 10**6
    steps: list[dict[str, Any]] = []

    def listen() -> float:
        steps.append(step(sides, "stream", str(path)))
        return float(steps[-1]["seconds"])

    rate = megabytes / medians(pairs({"ours": listen}, count))["ours"]
    added_mb = max(result["peak_mb"] - result["idle_mb"] for result in steps)
    work = f"{_EVENTS:,} events, {megabytes:.0f} MB"
    goal = f"≥ {_GOAL_MB_A_SECOND} MB/s"
    yield Measure(5, work, f"{rate:.0f} MB/s", goal, rate >= _GOAL_MB_A_SECOND)
    yield Measure(5, "and the memory", f"{added_mb:.0f} MB over idle", f"≤ {_GOAL_MB} MB", added_mb <= _GOAL_MB)

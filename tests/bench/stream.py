"""Row 5: 20,000 events, 100 MB, as fast as a pipe gives them."""

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
    """Return one of three kinds in turn: a text, a tool's use, its result; as claude's stream has them."""
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


def events_file(place: Path) -> Path:
    """Write the stream; return where."""
    path = place / "events.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(_event(number)) + "\n" for number in range(_EVENTS))
        file.write(json.dumps({"type": "result", "subtype": "success", "num_turns": 9, "is_error": False}) + "\n")
    return path


def stream(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 5."""
    path = events_file(sides.region.place)
    megabytes = path.stat().st_size / 10**6
    steps: list[dict[str, Any]] = []

    def ours() -> float:
        steps.append(step(sides, "stream", str(path)))
        return float(steps[-1]["seconds"])

    rate = megabytes / medians(pairs({"ours": ours}, count))["ours"]
    more = max(found["peak_mb"] - found["idle_mb"] for found in steps)
    work = f"{_EVENTS:,} events, {megabytes:.0f} MB"
    goal = f"≥ {_GOAL_MB_A_SECOND} MB/s"
    yield Measure(5, work, f"{rate:.0f} MB/s", goal, rate >= _GOAL_MB_A_SECOND)
    yield Measure(5, "and the memory", f"{more:.0f} MB over idle", f"≤ {_GOAL_MB} MB", more <= _GOAL_MB)

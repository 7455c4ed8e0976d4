"""The points at which a machine is lost. Each blocks the run exactly there, so that no timing is left to chance."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from deployments.local.scripted_model import Script
from tests.durability.machines import Machine, matches
from tests.durability.scene import Scene, steps
from tests.support.fault_proxy import Cut

_PATIENCE_SECONDS: Final = 240
NEXT_REQUEST_SECONDS: Final = 0.5
"""Time for Claude Code to run a reply's tool and send the next request, and for the model to begin its reply."""


@dataclass(frozen=True)
class Point:
    """A point at which a machine is lost."""

    name: str
    reach: Callable[[Scene], Iterator[Machine]]
    """A generator that starts the machine and yields it when it has reached the point."""


def wait(machine: Machine, condition: Callable[[], bool]) -> None:
    """Wait until the condition holds. Fail if the machine exits first."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert machine.process.poll() is None, f"the machine passed the point:\n{machine.log()}"
        assert time.monotonic() < deadline, f"the machine never reached the point:\n{machine.log()}"
        time.sleep(0.005)


def log_matches(pattern: str, machine: Machine) -> Callable[[], bool]:
    condition = matches(pattern)
    return lambda: condition(machine.log())


def during_silence(
    cut: Callable[[Scene], Cut], after: str = "", before: str = ""
) -> Callable[[Scene], Iterator[Machine]]:
    """Block the run with a server that falls silent, once the log matches `after` and before it matches `before`."""

    def reach(scene: Scene) -> Iterator[Machine]:
        cut_connection = cut(scene)
        with scene.machine() as machine:
            wait(machine, cut_connection.happened.is_set)
            if after:
                wait(machine, log_matches(after, machine))
            assert not before or not log_matches(before, machine)()
            yield machine

    return reach


def during_turn(number: int, *, again: bool = False) -> Callable[[Scene], Iterator[Machine]]:
    """Block the run with a model that does not reply in this turn.

    After earlier machines were lost (`again`) the log tells the turn, since the model counts repeated turns as well.
    """

    def reach(scene: Scene) -> Iterator[Machine]:
        scene.world.stack.model.script = Script(steps(slow=number))
        with scene.machine() as machine:
            if again:
                wait(machine, log_matches(rf"says: Step {number - 1}\.", machine))
            else:
                wait(machine, lambda: scene.requested_turns == number)
            time.sleep(NEXT_REQUEST_SECONDS)
            scene.world.stack.model.script = Script(steps())
            yield machine

    return reach


def _during_write(name: str, but_not: str = "") -> Callable[[Scene], Iterator[Machine]]:
    """Block the run in the middle of writing a file of the run store, while the file `but_not` does not exist."""

    def reach(scene: Scene) -> Iterator[Machine]:
        with scene.machine_that_stops_writing(name) as machine:
            wait(machine, lambda: scene.saved_file(name).exists() and scene.saved_file(name).stat().st_size > 0)
            assert not but_not or not scene.saved_file(but_not).exists()
            yield machine

    return reach


def silent_git(when: str, after_bytes: int = 0, *, in_answer: bool = False) -> Callable[[Scene], Cut]:
    direction = "response" if in_answer else "request"
    return lambda scene: scene.git.cut("stall", when.encode(), after_bytes=after_bytes, direction=direction)  # type: ignore[arg-type]


def _silent_s3(after_bytes: int) -> Callable[[Scene], Cut]:
    return lambda scene: scene.s3.cut("stall", b"/more/detail.md", after_bytes=after_bytes)


in_clone = silent_git("command=fetch", 200, in_answer=True)
"""A cut that makes the git server fall silent in the middle of a clone."""

SECRET: Final = r"Task run 'secret.*Completed"
CLONED: Final = r"the work starts from"
INSTRUCTED: Final = r"Task run 'instructions.*Completed"
WORKED: Final = r"Task run 'claude.*Completed"
PUSHED: Final = r"pushed [0-9a-f]{12}"

POINTS: Final = (
    Point("after the secret", during_silence(silent_git("/info/refs"), SECRET, CLONED)),
    Point("in the clone", during_silence(in_clone, before=CLONED)),
    Point("after the clone", during_silence(_silent_s3(0), CLONED, INSTRUCTED)),
    Point("in the instructions", during_silence(_silent_s3(1000), before=INSTRUCTED)),
    Point("while the plan is written", _during_write("plan")),
    *(Point(f"in turn {number}", during_turn(number)) for number in (1, 2, 5, 8, 11, 12)),
    Point("while a checkpoint is written", _during_write("checkpoint-1", "change")),
    Point("between result and bundle", _during_write("transcript.jsonl.gz", "change.bundle")),
    Point("while the bundle is written", _during_write("change.bundle", "change")),
    Point("after the bundle", _during_write("change")),
    Point("before the push", during_silence(silent_git("service=git-receive-pack"), WORKED, PUSHED)),
    Point("in the push", during_silence(silent_git("/git-receive-pack HTTP", 400), before=PUSHED)),
    Point("after the push landed", during_silence(silent_git("/git-receive-pack HTTP", in_answer=True), before=PUSHED)),
    Point("after the push", _during_write("report.md")),
)


@contextmanager
def machine_at(scene: Scene, point: Point) -> Iterator[Machine]:
    """Start a machine; yield it when it has reached the point."""
    yield from point.reach(scene)

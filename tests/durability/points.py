"""The points at which a machine is lost: each holds the run there, so that it is hit and not hoped for."""

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
ASKING_SECONDS: Final = 0.5
"""What Claude Code takes from a reply, by way of its tool, to the next request, and the model to begin with that."""


@dataclass(frozen=True)
class Point:
    """Where a machine is lost."""

    name: str
    reach: Callable[[Scene], Iterator[Machine]]
    """A generator of the machine, held at the point."""


def wait(machine: Machine, there: Callable[[], bool]) -> None:
    """Wait until it is so; fail where the machine ends before."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not there():
        assert machine.process.poll() is None, f"the machine passed the point by:\n{machine.log()}"
        assert time.monotonic() < deadline, f"the machine never came to the point:\n{machine.log()}"
        time.sleep(0.005)


def said(pattern: str, machine: Machine) -> Callable[[], bool]:
    there = matches(pattern)
    return lambda: there(machine.log())


def held_by_silence(
    cut: Callable[[Scene], Cut], after: str = "", before: str = ""
) -> Callable[[Scene], Iterator[Machine]]:
    """Hold it by a server that falls silent, after it has said one thing and before it says another."""

    def reach(scene: Scene) -> Iterator[Machine]:
        silent = cut(scene)
        with scene.machine() as machine:
            wait(machine, silent.happened.is_set)
            if after:
                wait(machine, said(after, machine))
            assert not before or not said(before, machine)()
            yield machine

    return reach


def held_in_turn(number: int, *, again: bool = False) -> Callable[[Scene], Iterator[Machine]]:
    """Hold it by a model that thinks, or do so `again`, on a further machine."""

    def reach(scene: Scene) -> Iterator[Machine]:
        scene.world.stack.model.script = Script(steps(slow=number))
        with scene.machine() as machine:
            if again:
                wait(machine, said(rf"says: Step {number - 1}\.", machine))
            else:
                wait(machine, lambda: scene.turns_asked == number)
            time.sleep(ASKING_SECONDS)
            scene.world.stack.model.script = Script(steps())
            yield machine

    return reach


def _held_in(name: str, but_not: str = "") -> Callable[[Scene], Iterator[Machine]]:
    """Hold it in the middle of writing a file of the run store, before there is another."""

    def reach(scene: Scene) -> Iterator[Machine]:
        with scene.machine_that_stops_writing(name) as machine:
            wait(machine, lambda: scene.saved_file(name).exists() and scene.saved_file(name).stat().st_size > 0)
            assert not but_not or not scene.saved_file(but_not).exists()
            yield machine

    return reach


def silent_git(when: str, after_bytes: int = 0, *, in_answer: bool = False) -> Callable[[Scene], Cut]:
    of = "response" if in_answer else "request"
    return lambda scene: scene.git.cut("stall", when.encode(), after_bytes=after_bytes, of=of)  # type: ignore[arg-type]


def _silent_s3(after_bytes: int) -> Callable[[Scene], Cut]:
    return lambda scene: scene.s3.cut("stall", b"/more/detail.md", after_bytes=after_bytes)


in_clone = silent_git("command=fetch", 200, in_answer=True)
"""Lets the git server fall silent in the middle of a clone."""

SECRET: Final = r"Task run 'secret.*Completed"
CLONED: Final = r"the work starts from"
INSTRUCTED: Final = r"Task run 'instructions.*Completed"
WORKED: Final = r"Task run 'claude.*Completed"
PUSHED: Final = r"pushed [0-9a-f]{12}"

POINTS: Final = (
    Point("after the secret", held_by_silence(silent_git("/info/refs"), SECRET, CLONED)),
    Point("in the clone", held_by_silence(in_clone, before=CLONED)),
    Point("after the clone", held_by_silence(_silent_s3(0), CLONED, INSTRUCTED)),
    Point("in the instructions", held_by_silence(_silent_s3(1000), before=INSTRUCTED)),
    Point("while the plan is written", _held_in("plan")),
    *(Point(f"in turn {number}", held_in_turn(number)) for number in (1, 2, 5, 8, 11, 12)),
    Point("while a checkpoint is written", _held_in("checkpoint-1", "change")),
    Point("between result and bundle", _held_in("transcript.jsonl.gz", "change.bundle")),
    Point("while the bundle is written", _held_in("change.bundle", "change")),
    Point("after the bundle", _held_in("change")),
    Point("before the push", held_by_silence(silent_git("service=git-receive-pack"), WORKED, PUSHED)),
    Point("in the push", held_by_silence(silent_git("/git-receive-pack HTTP", 400), before=PUSHED)),
    Point(
        "after the push landed", held_by_silence(silent_git("/git-receive-pack HTTP", in_answer=True), before=PUSHED)
    ),
    Point("after the push", _held_in("report.md")),
)


@contextmanager
def held(scene: Scene, point: Point) -> Iterator[Machine]:
    """Start a machine, and return when it is at the point."""
    yield from point.reach(scene)

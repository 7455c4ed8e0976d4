"""A run has one pull request, with the right text, labels and status, if its process is killed at any of its writes.

More kills, at random times, are in `tests/durability/test_pull_request.py`.
"""

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.support.forges.killed_step import KilledStep, Moment, is_creation, killed_step
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])


def kill_at(killed: KilledStep, number: int) -> None:
    """Kill a process at a write, and check what another process makes of it."""
    for moment in Moment:
        killed.begin()
        assert killed.attempt(number, moment) == -signal.SIGKILL, (number, moment)
        assert killed.attempt() == 0, (number, moment)
        killed.check(1, (number, moment))


@each_forge
def test_a_process_that_is_killed_at_a_write_leads_to_one_request(kind: type[ForgeStandIn], tmp_path: Path) -> None:
    with killed_step(kind, tmp_path) as killed:
        killed.begin()
        assert killed.attempt() == 0
        killed.check(0, "no kill")
        writes = len(killed.writes())
        assert writes >= 4, "the status twice, the pull request, and whom to ask for a review"
        for number in range(1, writes + 1):
            kill_at(killed, number)
        assert set(killed.wishes().values()) <= {0, 1}, "the record says that they were asked for"


@each_forge
def test_a_process_that_is_killed_at_an_update_leaves_one_request_and_the_words_of_a_person(
    kind: type[ForgeStandIn], tmp_path: Path
) -> None:
    with killed_step(kind, tmp_path) as killed:
        killed.begin()
        assert killed.attempt() == 0
        killed.go_on_later()
        killed.begin()
        assert killed.attempt() == 0
        killed.check(0, "no kill")
        kill_at(killed, 2)


@each_forge
def test_a_request_of_a_killed_process_that_takes_effect_late_is_the_only_one(
    kind: type[ForgeStandIn], tmp_path: Path
) -> None:
    """A proxy may hold back the request of a process that is gone, until another process has found nothing."""
    with killed_step(kind, tmp_path) as killed:
        killed.begin()
        held, second_creates, created = threading.Event(), threading.Event(), threading.Event()

        def hold(moment: str) -> None:
            if not is_creation(killed.forge.requests[-1]) or created.is_set():
                return
            if moment == "after":
                created.set()
            elif not held.is_set():
                held.set()
                second_creates.wait(60)
            else:
                second_creates.set()
                created.wait(60)

        killed.forge.on_write = hold
        with killed.process() as first:
            assert held.wait(60)
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
        with killed.process() as second:
            assert os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]) == 0
        assert len(killed.creations()) == 2
        killed.check(1, "late")

"""Executes a part of a step in a process of its own, which a test kills at one of its writes to a forge."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable

from tests.support.forges.stand_in import ForgeStandIn


def attempt(forge: ForgeStandIn, execute: Callable[[], None], number: int = 0, moment: str = "") -> int:
    """Execute a function in a process, and return the exit status of the process.

    Args:
        forge: The stand-in to which the function writes.
        execute: The function.
        number: At which of its writes the process is killed.
        moment: `before` or `after` the write has its effect; empty to let the process live.
    """
    threads, begun = set(threading.enumerate()), len(forge.writes())
    start, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(start, 1)
        _execute(execute)

    def kill(now: str) -> None:
        if (len(forge.writes()) - begun, now) == (number, moment):
            os.kill(pid, signal.SIGKILL)
            if now == "before":
                raise ConnectionAbortedError

    forge.on_write = kill
    os.write(go, b"x")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(go)
    os.close(start)
    while set(threading.enumerate()) - threads:  # until the forge has handled each request of the process
        time.sleep(0.001)
    return status


def _execute(execute: Callable[[], None]) -> None:
    try:
        execute()
        os._exit(0)
    except BaseException:  # noqa: BLE001 (a fork must not go on as pytest)
        traceback.print_exc()
    finally:
        os._exit(1)

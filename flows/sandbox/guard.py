"""Ends the processes of a user if the flow's process is killed, and cannot do so itself."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flows.sandbox.user import AgentUser, end_unclaimed

_PROJECT: Final = Path(__file__).parents[2]
_CLAIM_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_PROGRAM: Final = """
import sys
folder, uid, mark = sys.argv[1:]
sys.path.insert(0, folder)
from flows.sandbox.guard import wait_and_end
wait_and_end(int(uid) if uid else None, mark)
"""


@contextmanager
def guard(user: AgentUser) -> Iterator[None]:
    """While the context is open, a process waits for the end of this one, and then ends the user's processes.

    The parent-death signal reaches only the first process of a service. The process is in a session of its own, so that
    a signal to the group of the flow's process does not end it. It gets no variable of the flow's process but PATH.
    """
    uid = "" if user.uid is None else str(user.uid)
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM, str(_PROJECT), uid, user.mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd=os.sep,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def wait_and_end(uid: int | None, mark: str) -> None:
    """Wait until the process at the other end of standard input has ended, then end the user's processes."""
    sys.stdin.buffer.read()
    if uid is None:
        AgentUser(None, mark).end_processes()
        return
    deadline = time.monotonic() + _CLAIM_SECONDS
    # The kernel may close the pipe before it frees the uid, and another process may test at this moment if it is free.
    while not end_unclaimed(uid) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)

"""The agent's user: a uid of its own for each run, so that the kernel keeps the agent away from everything of ours.

Only root on Linux can isolate the agent. Elsewhere the same calls run it as this process's own user, and
`missing_isolation` says so. A process of the agent is known by its uid or, without isolation, by a mark in its
environment.
"""

import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

FIRST_UID: Final = 70_000
UID_COUNT: Final = 10_000
"""A range that neither Debian's accounts (below 65,536) nor subordinate uids (from 100,000) use.

A run takes two: the agent's, and the one `UID_COUNT` above it for what ends the agent.
"""

_SHARED: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")  # noqa: S108 (cleaned, not used)
"""Where every user may leave files: the next run with this uid would own them."""

MARK: Final = "CLAUDE_CODE_HEADLESS_RUN"
_END_TIMEOUT_SECONDS: Final = 30
_LOOK_SECONDS: Final = 0.02
_KILL_ALL: Final = f"""
import contextlib, os, sys
uid = int(sys.argv[1])
killer = uid + {UID_COUNT}
os.setgroups([])
os.setresuid(killer, uid, killer)
with contextlib.suppress(ProcessLookupError):
    os.kill(-1, 9)
"""
"""Kills as the agent's user, but with a real and a saved uid of its own, so that the agent cannot kill it first."""

_OOM_SCORE: Final = 500
"""proc(5)'s oom_score_adj for the agent: as though it used half of the memory more than it does."""

_LIMITS: Final = {"CORE": 0, "NOFILE": 65_536, "NPROC": 4_096, "FSIZE": 32 * 2**30}
"""setrlimit(2)'s RLIMIT_… for the agent: open files, processes of its uid, bytes of one file."""


@dataclass(frozen=True)
class AgentUser:
    """The user that the agent runs as. `uid` is None if the agent is not isolated."""

    uid: int | None
    mark: str
    """The value of the `MARK` environment variable of every process of this run's agent."""
    missing_isolation: str = ""
    """Why the agent is not isolated, as a sentence; empty if it is."""

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return `command` as the agent's user runs it: no capability, no group, no way to gain a privilege."""
        if self.uid is None:
            return list(command)
        # Where memory runs out, the kernel is to end the agent, and not the flow that has to keep its work.
        return ["choom", "-n", str(_OOM_SCORE), "--", "prlimit", *_limits(), *self._drop(), *command]

    def _drop(self) -> list[str]:
        ids = [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        # Where the flow is killed alone there is nobody left to end the agent.
        return ["setpriv", *ids, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--pdeathsig=KILL"]

    def give(self, path: Path) -> None:
        """Make the agent the owner of `path` and of everything below it; links are not followed."""
        if self.uid is None:
            return
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(os.path.join(folder, name), self.uid, self.uid, follow_symlinks=False)  # noqa: PTH118 (walks)
        # Last: as long as the directory itself is closed, nobody can put a link where we are about to walk.
        os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def lend(self, path: Path) -> None:
        """Let the agent read `path`, a file or a directory of ours, and not change it."""
        if self.uid is None:
            return
        os.chown(path, 0, self.uid)
        path.chmod(0o750 if path.is_dir() else 0o640)

    def end_processes(self) -> None:
        """Kill every process of the agent, and return when none is left."""
        deadline = time.monotonic() + _END_TIMEOUT_SECONDS
        # Kill before the first look: processes that fork and end, one after the other, are in no list that one reads.
        self._kill_all()
        while alive := self.processes():
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes of the agent are still alive: {alive}")
            time.sleep(_LOOK_SECONDS)
            self._kill_all()

    def remove_left_files(self) -> None:
        """Remove what the agent left where every user may; after its processes, for they could leave more."""
        if self.uid is None:
            return
        for folder in {*_SHARED, tempfile.gettempdir()}:
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in [entry for entry in entries if self._left(entry)]:
                    shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)  # noqa: PTH108

    def _left(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.stat(follow_symlinks=False).st_uid == self.uid
        except FileNotFoundError:
            return False

    def _kill_all(self) -> None:
        if self.uid is not None:
            # With -1, kill(2) signals all of a uid at once: a fork cannot slip past it, as it could past a list.
            subprocess.run([sys.executable, "-I", "-S", "-c", _KILL_ALL, str(self.uid)], check=False)
            return
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """Return what is alive of the agent's processes."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            if self.uid is not None:
                return self.uid in process.uids()
            return process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False


def _limits() -> list[str]:
    """Return prlimit's options; a limit of the host that is lower already stays."""
    hard = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in _LIMITS}
    lowest = {
        name: most if hard[name] == resource.RLIM_INFINITY else min(most, hard[name]) for name, most in _LIMITS.items()
    }
    return [f"--{name.lower()}={most}" for name, most in lowest.items()]


@contextmanager
def agent_user(mark: str) -> Iterator[AgentUser]:
    """Take a uid that no other run on this host has, for as long as the context lasts."""
    reason = _reason_for_no_isolation()
    if reason:
        yield AgentUser(None, mark, reason)
        return
    uid, claim = _claim_uid()
    with claim:
        yield AgentUser(uid, mark)


def _reason_for_no_isolation() -> str:
    consequence = "the agent runs as this process's own user and can read what that user can"
    if os.geteuid() != 0:
        return f"not running as root: {consequence}"
    if missing := [name for name in ("choom", "prlimit", "setpriv") if not shutil.which(name)]:
        return f"{' and '.join(missing)} (util-linux) not installed: {consequence}"
    trial = subprocess.run(AgentUser(FIRST_UID, "").argv(["true"]), check=False, capture_output=True)
    if trial.returncode != 0:
        return f"this container may not change the user of a process (CAP_SETUID, CAP_SETGID): {consequence}"
    return ""


def _claim_uid() -> tuple[int, socket.socket]:
    """Return a uid and what holds it: a name that the kernel gives to one socket, and frees when its process ends."""
    for offset in random.sample(range(UID_COUNT), UID_COUNT):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0claude-code-headless-uid-{FIRST_UID + offset}")
        except OSError:
            claim.close()
            continue
        return FIRST_UID + offset, claim
    raise RuntimeError(f"all {UID_COUNT} agent users of this host are taken")

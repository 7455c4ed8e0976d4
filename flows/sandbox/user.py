"""Gives the agent of each run a separate uid, so that the kernel protects the flow's process from the agent.

Only root on Linux can isolate the agent. Otherwise the agent runs as the user of the flow's process, and
`missing_isolation` says why. A process of the agent is recognised by its uid or, without isolation, by a mark in its
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

from flows.sandbox.account import is_foreign
from flows.sandbox.ipc import remove_ipc
from flows.sandbox.removal import remove_tree

FIRST_UID: Final = 70_000
UID_COUNT: Final = 10_000
"""How many uids are for agents. The first of them is `FIRST_UID`.

The range avoids the uids of Debian's accounts, which are below 65,536, and subordinate uids, which start at 100,000. A
run uses two uids: the agent's, and one that is `UID_COUNT` higher, for the process that kills the agent. If the run has
services, they have two such uids as well.
"""

_SHARED: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")  # noqa: S108 (cleaned, not used)
"""Directories in which every user may create files. A later run with the same uid would own the files left in them."""

MARK: Final = "CLAUDE_CODE_HEADLESS_RUN"
_END_TIMEOUT_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.02
_KILL_ALL: Final = f"""
import contextlib, os, sys
uid = int(sys.argv[1])
killer = uid + {UID_COUNT}
os.setgroups([])
os.setresuid(killer, uid, killer)
with contextlib.suppress(ProcessLookupError):
    os.kill(-1, 9)
"""
"""A program that kills all processes of the agent's user. Its real and saved uids protect the program."""

_OOM_SCORE: Final = 500
"""The agent's oom_score_adj (proc(5)): the kernel counts half of all memory in addition to what the agent uses."""

_LIMITS: Final = {"CORE": 0, "NOFILE": 65_536, "NPROC": 4_096, "FSIZE": 32 * 2**30}
"""The agent's limits, by their names in setrlimit(2): bytes of a core dump, open files, processes, bytes of a file."""


@dataclass(frozen=True)
class AgentUser:
    """The user that the agent runs as, or another user of the same kind, which the run's services have.

    `uid` is None if the user is not isolated: then it is the user of the flow's process.
    """

    uid: int | None
    mark: str
    """The value of the `MARK` environment variable of every process of this run's agent."""
    missing_isolation: str = ""
    """Why the agent is not isolated; empty if it is isolated."""

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs `command` as the agent, without capabilities, groups or new privileges."""
        if self.uid is None:
            return list(command)
        # If memory runs out, the kernel should kill the agent and not the flow, which has to save the agent's work.
        memory = ["choom", "-n", str(_OOM_SCORE), "--"]
        user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        # pdeathsig ends the agent if the flow's process alone is killed.
        privileges = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--pdeathsig=KILL"]
        return [*memory, "prlimit", *_limits(), *user, *privileges, *command]

    def can(self, command: Sequence[str]) -> bool:
        """Return whether a command succeeds as the agent. It gets none of this process's variables but PATH."""
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        return subprocess.run(self.argv(command), check=False, capture_output=True, env=environment).returncode == 0

    def give(self, path: Path) -> None:
        """Make the agent the owner of `path` and of everything below it, without following symbolic links."""
        if self.uid is None:
            return
        # The agent owns parts of the tree before the end. So no path is followed, only descriptors of folders.
        for _, folders, files, descriptor in os.fwalk(path):
            for name in (*folders, *files):
                os.chown(name, self.uid, self.uid, dir_fd=descriptor, follow_symlinks=False)
        # The directory itself comes last: with the mode 0700, the agent cannot enter it until then.
        os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def lend(self, path: Path) -> None:
        """Let the agent read `path`, a file or directory of the flow's process, but not change it."""
        if self.uid is None:
            return
        os.chown(path, 0, self.uid)
        path.chmod(0o750 if path.is_dir() else 0o640)

    def end_processes(self) -> None:
        """Kill all processes of the agent, and wait until none is left; raise `TimeoutError` after 30 s."""
        deadline = time.monotonic() + _END_TIMEOUT_SECONDS
        # Kill before listing: a chain of processes, each of which forks and exits at once, may appear in no list.
        self._kill_all()
        while alive := self.processes():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"processes of the agent are still alive after {_END_TIMEOUT_SECONDS} s of attempts to kill them: "
                    f"{alive}"
                )
            time.sleep(_POLL_SECONDS)
            self._kill_all()

    def remove_leftover_files(self) -> None:
        """Remove the agent's files from the directories that every user may write to, and its System V objects.

        Call this after `end_processes`, because a process that is still alive could create more files.
        """
        if self.uid is None:
            return
        remove_ipc(self.uid)
        for folder in {*_SHARED, tempfile.gettempdir()}:
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in [entry for entry in entries if self._owns_entry(entry)]:
                    with suppress(OSError):
                        remove_tree(Path(entry.path))

    def _owns_entry(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.stat(follow_symlinks=False).st_uid == self.uid
        except FileNotFoundError:
            return False

    def _kill_all(self) -> None:
        if self.uid is not None:
            # With -1, kill(2) signals all processes of a uid at once. A new fork may be missing in a list of processes.
            subprocess.run([sys.executable, "-I", "-S", "-c", _KILL_ALL, str(self.uid)], check=False)
            return
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """Return the agent's processes that are alive."""
        return [process for process in psutil.process_iter() if self._owns_process(process)]

    def _owns_process(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            if self.uid is not None:
                return self.uid in process.uids()
            return process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False


def _limits() -> list[str]:
    """Return prlimit's options for the agent's limits. A lower limit of this machine stays in force."""
    hard = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in _LIMITS}
    limits = {
        name: limit if hard[name] == resource.RLIM_INFINITY else min(limit, hard[name])
        for name, limit in _LIMITS.items()
    }
    return [f"--{name.lower()}={limit}" for name, limit in limits.items()]


@contextmanager
def agent_user(mark: str) -> Iterator[AgentUser]:
    """Yield a user for the agent. No other run on this machine uses the user's uid until the context ends.

    If the agent cannot be isolated, the user's `uid` is None, and `missing_isolation` says why.
    """
    reason = _reason_for_no_isolation()
    if reason:
        yield AgentUser(None, mark, reason)
        return
    uid, claim = _claim_uid()
    with claim:
        yield AgentUser(uid, mark)


def _reason_for_no_isolation() -> str:
    consequence = "the agent runs as this process's own user and can read everything that this user can"
    if os.geteuid() != 0:
        return f"the flow does not run as root: {consequence}"
    if missing := [name for name in ("choom", "prlimit", "setpriv") if not shutil.which(name)]:
        return f"this machine lacks {' and '.join(missing)} (util-linux): {consequence}"
    if not AgentUser(FIRST_UID, "").can(["true"]):
        return f"this container may not change the user of a process (CAP_SETUID, CAP_SETGID): {consequence}"
    return ""


def is_claimed(uid: int) -> bool:
    """Return whether a run on this machine uses the uid for its agent."""
    claim = _claim(uid)
    if claim:
        claim.close()
    return claim is None


def end_processes_of_killed_runs() -> None:
    """Kill the processes of runs on this machine that were killed themselves, so that no run uses their uids.

    Only processes with the mark of a run are considered. Those of a container with its own network are left alone,
    because the sockets that reserve uids there cannot be seen here.
    """
    uids = {uid for process in psutil.process_iter() if (uid := _uid_of_a_run(process)) is not None}
    for uid in uids:
        end_unclaimed(uid)


def end_agents_of_killed_run(folder: Path) -> None:
    """Kill the processes of the agents' uids that own an entry of a run's folder, and remove what else they left."""
    for uid in {entry.lstat().st_uid for entry in folder.iterdir()}:
        if FIRST_UID <= uid < FIRST_UID + UID_COUNT:
            end_unclaimed(uid)


def end_unclaimed(uid: int) -> bool:
    """Kill the processes of a uid, remove what they left, and return True; False if a run on this machine uses the uid.

    The uid must be one of those for agents.
    """
    if is_foreign(uid) or not (claim := _claim(uid)):
        return False
    with claim:  # no run may begin to use the uid meanwhile
        user = AgentUser(uid, "")
        user.end_processes()
        user.remove_leftover_files()
    return True


def _uid_of_a_run(process: psutil.Process) -> int | None:
    try:
        uid = process.uids().real
        is_near = Path(f"/proc/{process.pid}/ns/net").samefile("/proc/self/ns/net")
        return uid if FIRST_UID <= uid < FIRST_UID + UID_COUNT and is_near and MARK in process.environ() else None
    except (psutil.Error, OSError):
        return None


def _claim_uid() -> tuple[int, socket.socket]:
    """Return a free uid, and the socket that reserves the uid."""
    for offset in random.sample(range(UID_COUNT), UID_COUNT):
        uid = FIRST_UID + offset
        # All processes of an agent's uid are killed, so the uid must not be that of a person.
        if not is_foreign(uid) and (claim := _claim(uid)):
            if not AgentUser(uid, "").processes():  # A killed run may have left some.
                return uid, claim
            claim.close()
    raise RuntimeError(f"all {UID_COUNT} uids for agents on this host are in use")


def _claim(uid: int) -> socket.socket | None:
    """Return a socket that reserves the uid, or None if the uid is in use.

    The kernel gives an abstract socket name to one socket only, and frees the name when the process ends.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0claude-code-headless-uid-{uid}")
    except OSError:
        claim.close()
        return None
    return claim

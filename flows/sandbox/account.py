"""Gives the agent's uid a name and a home directory in the accounts of this machine, for as long as the run lasts.

Without an account, `whoami` and `os.userInfo()` of Node fail, and Java uses `?` as the home directory, so that Maven
writes its repository into the work tree. The account is a line of passwd(5) and of group(5). If nsswitch.conf(5) lists
`extrausers`, the lines are in the folder of libnss-extrausers; the image has that library, because its /etc is
read-only on ECS. Otherwise the lines are in /etc.
"""

import fcntl
import os
import pwd
import re
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAME: Final = "agent"
"""The name of the agent's account. If it is taken, by an account of this machine or another run, the uid is added."""

_NAMES: Final = "agent|service"
"""The names of the accounts of runs, as a pattern."""

_COMMENT: Final = "claude-code-headless"
"""The comment (GECOS) field by which this module recognises its own lines."""

_ETC: Final = Path("/etc")
_EXTRA_USERS: Final = Path("/var/lib/extrausers")
_LOCK_SECONDS: Final = 15
_POLL_SECONDS: Final = 0.02
_THREADS: Final = threading.Lock()
"""Excludes the other threads of this process. The lock of the file excludes other processes only."""


@dataclass(frozen=True)
class Account:
    """The name of the user that the agent runs as."""

    name: str = ""
    """Empty if the agent is not isolated and the user of the flow's process has no account."""
    missing: str = ""
    """Why the agent's uid has no account; empty if it has one, or if the agent is not isolated."""

    def variables(self, home: Path) -> dict[str, str]:
        """Return the environment variables that name the user.

        Java reads the home directory from the account alone. So without an account, an option sets it; Java prints a
        line on standard error about the option.
        """
        names = {"USER": self.name, "LOGNAME": self.name} if self.name else {}
        java = {"JAVA_TOOL_OPTIONS": f"-Duser.home={home} -Duser.name={self.name}"} if self.missing else {}
        return {**names, **java}


@contextmanager
def account(
    uid: int | None, home: Path, is_claimed: Callable[[int], bool], folder: Path | None = None, name: str = NAME
) -> Iterator[Account]:
    """Yield the account of the agent's user, and remove the account when the context ends.

    Accounts that other runs left behind when they were killed are removed, too.

    Args:
        uid: The uid to name. None if the agent is not isolated: then the account is that of this process.
        home: The agent's home directory.
        is_claimed: Returns whether a run on this machine uses a uid now.
        folder: The folder of the files `passwd` and `group`; None for the one that this machine reads.
        name: The name to give the user, one of `_NAMES`.
    """
    if uid is None:
        yield Account(_own_name())
        return
    folder = folder or _accounts_folder()
    try:
        with _lock(folder):
            own_name = _add(folder, uid, name, home, is_claimed)
    except OSError as error:
        yield Account(name, f"{type(error).__name__}: {error}")
        return
    try:
        yield Account(own_name)
    finally:
        with suppress(OSError), _lock(folder):  # a later run removes the account
            _remove(folder, lambda own: own == uid)


def is_foreign(uid: int) -> bool:
    """Return whether the uid is that of an account which is not an agent's."""
    try:
        return pwd.getpwuid(uid).pw_gecos != _COMMENT
    except KeyError:
        return False


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def _accounts_folder() -> Path:
    with suppress(OSError):
        if re.search(r"(?m)^passwd:.*\bextrausers\b", (_ETC / "nsswitch.conf").read_text(errors="replace")):
            return _EXTRA_USERS
    return _ETC


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the lock of lckpwdf(3), which programs such as useradd hold while they change accounts.

    Raises:
        OSError: The folder cannot be written, is not safe, or another process held the lock for 15 s.
    """
    _check_folder(folder)
    with _THREADS, os.fdopen(os.open(folder / ".pwd.lock", os.O_CREAT | os.O_RDWR, 0o600)) as file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process has locked {folder} for {_LOCK_SECONDS} s") from None
                time.sleep(_POLL_SECONDS)
        yield


def _check_folder(folder: Path) -> None:
    """Create the folder, and raise `PermissionError` if other users could write to it."""
    target = folder.resolve()
    if not target.exists():
        target.mkdir(mode=0o755, exist_ok=True)
        target.chmod(0o755)
    status = target.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"other users can write to {target}")


def _add(folder: Path, uid: int, wanted_name: str, home: Path, is_claimed: Callable[[int], bool]) -> str:
    """Add the account, and return its name."""
    if re.search(r"[:\n]", str(home)):
        raise OSError(f"passwd(5) cannot hold the path {str(home)!r}")
    _remove(folder, lambda own: own == uid or not is_claimed(own))
    files = [place / name for place in {folder, _ETC} for name in ("passwd", "group")]
    taken_names = {line.partition(b":")[0] for file in files for line in _lines(file)}
    name = f"{wanted_name}-{uid}" if wanted_name.encode() in taken_names else wanted_name
    user = f"{name}:*:{uid}:{uid}:{_COMMENT}:{home}:/bin/bash\n".encode()
    # A line in `passwd` is there longer than its line in `group`, so that no line of a killed process stays unnoticed.
    _write(folder / "passwd", [*_lines(folder / "passwd"), user])
    with suppress(OSError):  # programs need the user's name and home directory more than the group's name
        _write(folder / "group", [*_lines(folder / "group"), _group_line(name, uid)])
    return name


def _remove(folder: Path, is_unwanted: Callable[[int], bool]) -> None:
    """Remove those accounts of agents whose uids are unwanted."""
    users = _lines(folder / "passwd")
    unwanted = {line: _group_line(*agent) for line in users if (agent := _agent(line)) and is_unwanted(agent[1])}
    if not unwanted:
        return
    groups, unwanted_groups = _lines(folder / "group"), set(unwanted.values())
    if not unwanted_groups.isdisjoint(groups):
        _write(folder / "group", [line for line in groups if line not in unwanted_groups])
    _write(folder / "passwd", [line for line in users if line not in unwanted])


def _agent(line: bytes) -> tuple[str, int] | None:
    """Return the name and the uid in a line of passwd(5) that this module wrote; None for any other line."""
    pattern = rf"((?:{_NAMES})(?:-\d+)?):\*:(\d+):\2:{_COMMENT}:[^:]*:[^:]*\n"
    match = re.fullmatch(pattern.encode(), line)
    return (match[1].decode(), int(match[2])) if match else None


def _group_line(name: str, gid: int) -> bytes:
    return f"{name}:*:{gid}:\n".encode()


def _lines(file: Path) -> list[bytes]:
    """Return the lines of a file with their line breaks; no lines if the file does not exist."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    return [line + b"\n" for line in content.removesuffix(b"\n").split(b"\n")] if content else []


def _write(file: Path, lines: list[bytes]) -> None:
    """Replace a file in one step, so that no program reads half of it. Owner, mode and attributes stay the same.

    Raises:
        OSError: The file cannot be replaced. It may be a mount, or on a file system that is read-only.
    """
    if file.is_symlink():
        raise OSError(f"{file} is a symbolic link")
    new = file.with_name(f"{file.name}.{_COMMENT}")
    try:
        with new.open("wb") as stream:
            stream.writelines(lines)
            stream.flush()
            os.fsync(stream.fileno())
        if file.exists():
            status = file.stat()
            os.chown(new, status.st_uid, status.st_gid)
            shutil.copystat(file, new)
            os.utime(new)
        else:
            new.chmod(0o644)
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise

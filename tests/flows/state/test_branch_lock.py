"""One follow-up at a time has the lock of a branch, and a lost machine does not hold it for ever."""

import os
import signal
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from flows.errors import FollowUpInProgress
from flows.state.branch_lock import LIFE_SECONDS, BranchLock
from flows.state.branch_record import BranchRecords

URL = "https://github.com/o/r.git"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def nothing() -> object:
    return None


class Files:
    """A file system that calls a function before or after the next write."""

    def __init__(self, folder: Path) -> None:
        self._files = LocalFileSystem(basepath=str(folder))
        self.before_write = self.after_write = nothing

    def read_path(self, path: str) -> object:
        return self._files.read_path(path)

    def write_path(self, path: str, content: bytes) -> object:
        before, self.before_write = self.before_write, nothing
        before()
        self._files.write_path(path, content)
        return self.after_write()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lock(folder: Path, clock: Clock, run: str, attempt: str = "1", files: Files | None = None) -> BranchLock:
    records = BranchRecords(files or LocalFileSystem(basepath=str(folder)), URL)
    return BranchLock(records.folder("work"), "work", run, attempt, clock)


def is_free(folder: Path, clock: Clock) -> bool:
    try:
        lock(folder, clock, "any other run").check()
    except FollowUpInProgress:
        return False
    return True


def test_a_second_run_is_refused_until_the_first_one_ends(tmp_path: Path, clock: Clock) -> None:
    first, second = lock(tmp_path, clock, "one"), lock(tmp_path, clock, "two")
    first.take()
    assert first.previous == ""
    with pytest.raises(
        FollowUpInProgress, match=r"the run one follows up on the branch 'work' now: .* at 13:56:40 UTC"
    ):
        second.take()
    first.check()
    first.release()
    second.take()
    assert second.previous == "one"
    first.release()
    first.renew()
    second.check()
    assert not is_free(tmp_path, clock), "who has ended changes nothing"


def test_a_lock_that_is_renewed_lasts_and_one_that_is_not_ends(tmp_path: Path, clock: Clock) -> None:
    first = lock(tmp_path, clock, "one")
    first.take()
    for _ in range(3):
        clock.seconds += LIFE_SECONDS - 1
        assert not is_free(tmp_path, clock)
        first.renew()
    clock.seconds += LIFE_SECONDS
    second = lock(tmp_path, clock, "two")
    second.take()
    first.renew()
    first.release()
    second.check()
    with pytest.raises(FollowUpInProgress, match="the run two"):
        first.check()


def test_a_later_attempt_of_the_same_run_takes_the_lock_from_the_earlier_one(tmp_path: Path, clock: Clock) -> None:
    earlier, later = lock(tmp_path, clock, "one"), lock(tmp_path, clock, "one", "2")
    earlier.take()
    later.take()
    assert later.previous == "one"
    earlier.check()  # the lease decides between attempts
    earlier.renew()
    earlier.release()
    assert not is_free(tmp_path, clock)


def test_of_two_that_write_at_the_same_moment_one_goes_on(tmp_path: Path, clock: Clock) -> None:
    files = Files(tmp_path)
    first, second = lock(tmp_path, clock, "one", files=files), lock(tmp_path, clock, "two")
    files.before_write = second.take
    first.take()
    first.check()
    with pytest.raises(FollowUpInProgress):
        second.check()
    second.release()
    assert not is_free(tmp_path, clock)


def test_a_release_waits_for_a_renewal_and_no_renewal_follows_it(tmp_path: Path, clock: Clock) -> None:
    only = lock(tmp_path, clock, "one")
    only.renew()
    assert is_free(tmp_path, clock), "what is not taken is not renewed"
    only.take()
    only.release()
    only.renew()
    assert is_free(tmp_path, clock)


@pytest.mark.parametrize("content", [b"", b"no seal", None], ids=["empty", "damaged", "incomplete"])
def test_a_file_that_cannot_be_read_locks_nothing(tmp_path: Path, clock: Clock, content: bytes | None) -> None:
    only = lock(tmp_path, clock, "one")
    only.take()
    [file] = tmp_path.rglob("lock")
    file.write_bytes(file.read_bytes()[:-9] if content is None else content)
    lock(tmp_path, clock, "two").take()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", ["take", "renew", "release"])
def test_a_process_that_is_killed_at_a_write_blocks_its_branch_for_a_while_at_most(
    tmp_path: Path, clock: Clock, action: str, moment: str
) -> None:
    files = Files(tmp_path)
    held = lock(tmp_path, clock, "one", files=files)
    if action != "take":
        held.take()
    pid = os.fork()
    if not pid:
        files.before_write, files.after_write = (kill, nothing) if moment == "before" else (nothing, kill)
        getattr(held, action)()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert is_free(tmp_path, clock) is ((action, moment) in {("take", "before"), ("release", "after")})
    lock(tmp_path, clock, "one", "2").take()  # the run itself resumes at once
    clock.seconds += LIFE_SECONDS
    other = lock(tmp_path, clock, "two")
    other.take()
    assert other.previous == "one"

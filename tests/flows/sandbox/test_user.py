"""The agent's user: a uid that no other run has, nothing of ours in its reach, and no process of it left at the end."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from flows.sandbox.user import FIRST_UID, MARK, UID_COUNT, AgentUser, agent_user

as_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="NOT ROOT: THE WALL BETWEEN THE AGENT AND THE TRUSTED SIDE IS NOT TESTED HERE; run as root on Linux",
)
# Each link says that it lives, starts the next in a session of its own, and ends; none starts when the file is gone.
CHAIN = """
    [ -e "$BEAT" ] && [ "${N:-0}" -lt 5000 ] || exit
    echo >> "$BEAT"
    N=$((${N:-0} + 1)) setsid sh -c "$CHAIN" >/dev/null 2>&1 &
"""


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def walled(mark: str) -> Iterator[AgentUser]:
    with agent_user(mark) as user:
        yield user
        user.end_processes()


@pytest.fixture
def unwalled(mark: str) -> Iterator[AgentUser]:
    user = AgentUser(None, mark, "a test of it")
    yield user
    user.end_processes()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that every user can search, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def start(user: AgentUser, script: str, **variables: str) -> "subprocess.Popen[bytes]":
    environment = {"PATH": os.environ["PATH"], MARK: user.mark, **variables}
    return subprocess.Popen(user.argv(["sh", "-c", script]), env=environment, cwd="/", stdout=subprocess.PIPE)


def output(user: AgentUser, script: str, **variables: str) -> str:
    with start(user, script, **variables) as process:
        return process.communicate()[0].decode()


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that in 5 seconds")


@as_root
def test_users_at_the_same_time_never_share_a_uid() -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(agent_user(f"run {n}")) for n in range(30)]
        assert len({user.uid for user in users}) == 30
        assert all(user.uid in range(FIRST_UID, FIRST_UID + UID_COUNT) for user in users)
        assert not any(user.missing_isolation for user in users)


@as_root
def test_a_uid_is_not_given_to_another_process_while_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = "from flows.sandbox.user import agent_user\nwith agent_user('x') as user: print(user.uid)"
    program = f"import random\nrandom.sample = lambda of, count: list(of)\n{claim}"
    monkeypatch.setattr("random.sample", lambda of, _: list(of))
    with agent_user("ours") as user:
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
        assert user.uid is not None
        assert int(other.stdout) > user.uid


@as_root
def test_a_uid_is_free_again_after_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.sample", lambda of, _: list(of)[5000:])
    with agent_user("first") as first:
        pass
    with agent_user("second") as second:
        assert first.uid == second.uid


@as_root
def test_the_agent_has_its_own_uid_and_gid_and_no_group_capability_or_way_to_gain_one(walled: AgentUser) -> None:
    lines = output(walled, "cat /proc/self/status").splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == [str(walled.uid)] * 4
    assert status["Groups"] == []
    assert status["NoNewPrivs"] == ["1"]
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind][0], 16) == 0


@as_root
@pytest.mark.parametrize(
    ("limit", "most"),
    [("core file size", 0), ("open files", 65_536), ("processes", 4_096), ("file size", 32 * 2**30)],
)
def test_the_agents_resources_are_limited(walled: AgentUser, limit: str, most: int) -> None:
    [line] = [line for line in output(walled, "cat /proc/self/limits").splitlines() if line.startswith(f"Max {limit} ")]
    soft, hard = line.removeprefix(f"Max {limit} ").split()[:2]
    assert int(soft) <= int(hard) <= most
    assert most == 0 or int(soft) > 0


@as_root
def test_the_agent_cannot_read_what_only_root_may(walled: AgentUser, open_folder: Path) -> None:
    for name, mode in (("secret", 0o600), ("public", 0o644)):
        (open_folder / name).write_text(name)
        (open_folder / name).chmod(mode)
    assert output(walled, f"cat {open_folder}/public {open_folder}/secret 2>/dev/null") == "public"
    assert output(walled, f"cat /proc/{os.getpid()}/environ 2>/dev/null || echo refused") == "refused\n"
    assert output(walled, f"kill -TERM {os.getpid()} 2>/dev/null || echo refused") == "refused\n"


@as_root
def test_what_is_given_is_the_agents_and_links_are_not_followed(walled: AgentUser, open_folder: Path) -> None:
    ours, theirs = open_folder / "ours", open_folder / "theirs"
    ours.write_text("ours")
    (theirs / "a" / "b").mkdir(parents=True)
    (theirs / "a" / "link").symlink_to(ours)
    (theirs / "folder-link").symlink_to(open_folder)
    walled.give(theirs)
    assert {path.lstat().st_uid for path in (theirs, *theirs.rglob("*"))} == {walled.uid}
    assert ours.stat().st_uid == open_folder.stat().st_uid == 0


@as_root
def test_the_directory_itself_is_given_last(
    walled: AgentUser, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (open_folder / "place" / "a").mkdir(parents=True)
    given: list[Path] = []
    chown = os.chown

    def seen(path: Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        given.append(Path(path))
        chown(path, uid, gid, follow_symlinks=follow_symlinks)

    monkeypatch.setattr("os.chown", seen)
    walled.give(open_folder / "place")
    assert given == [open_folder / "place" / "a", open_folder / "place"]


@as_root
def test_what_the_agent_left_for_the_next_of_its_uid_is_removed(walled: AgentUser) -> None:
    left = [Path(folder) / f"left-{walled.uid}" for folder in ("/tmp", "/dev/shm")]  # noqa: S108 (looked at)
    output(walled, f"mkdir -p {left[0]}/x; chmod 0 {left[0]}/x {left[0]}; ln -s /etc {left[1]}")
    assert all(path.is_symlink() or path.exists() for path in left)
    walled.remove_left_files()
    assert not any(path.is_symlink() or path.exists() for path in left)
    assert Path("/etc/passwd").exists()


@as_root
def test_the_kernel_takes_the_agent_first_where_memory_runs_out(walled: AgentUser) -> None:
    assert int(output(walled, "cat /proc/self/oom_score_adj")) == 500


@as_root
def test_what_is_lent_can_be_read_by_the_agent_and_by_no_other(walled: AgentUser, open_folder: Path) -> None:
    (open_folder / "lent").write_text("lent")
    walled.lend(open_folder / "lent")
    assert output(walled, f"cat {open_folder}/lent; echo x 2>/dev/null >> {open_folder}/lent") == "lent"
    with agent_user("another") as other:
        assert output(other, f"cat {open_folder}/lent 2>/dev/null || echo refused") == "refused\n"


DAEMONS = {
    "setsid": "setsid sleep 60 >/dev/null 2>&1 &",
    "nohup": "nohup sleep 60 >/dev/null 2>&1 &",
    "setsid and nohup, twice": "setsid nohup sh -c 'setsid nohup sleep 60 & sleep 60' >/dev/null 2>&1 &",
    "deaf to signals": "trap '' TERM INT HUP; setsid sleep 60 >/dev/null 2>&1 &",
    "stopped": "setsid sleep 60 >/dev/null 2>&1 & sleep 0.2; kill -STOP $!",
}


@as_root
@pytest.mark.parametrize("script", DAEMONS.values(), ids=DAEMONS.keys())
def test_a_daemon_of_the_agents_user_is_ended(walled: AgentUser, script: str) -> None:
    output(walled, script)
    wait_for(lambda: [p for p in walled.processes() if p.name() == "sleep"])
    daemons = walled.processes()
    walled.end_processes()
    assert not [p for p in daemons if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert walled.processes() == []


@as_root
@pytest.mark.parametrize("first", ["", "kill -KILL -1 2>/dev/null\n"], ids=["peaceful", "kills whatever has its uid"])
def test_a_chain_of_processes_that_fork_and_end_is_ended(walled: AgentUser, open_folder: Path, first: str) -> None:
    # The second kind can be quicker than whoever comes under its uid to kill it, in some of the rounds.
    for n in range(8):
        beat = open_folder / str(n)
        beat.touch()
        walled.give(beat)
        output(walled, first + CHAIN, CHAIN=first + CHAIN, BEAT=str(beat))
        wait_for(lambda: beat.stat().st_size > 20)  # noqa: B023 (called at once)
        walled.end_processes()
        links = beat.stat().st_size
        time.sleep(0.1)
        assert beat.stat().st_size == links


@as_root
def test_a_daemon_without_the_mark_is_ended_by_its_uid(walled: AgentUser) -> None:
    output(walled, f"unset {MARK}; setsid sleep 60 >/dev/null 2>&1 &")
    wait_for(walled.processes)
    walled.end_processes()
    assert walled.processes() == []


@as_root
def test_the_processes_of_another_runs_agent_live_on(walled: AgentUser) -> None:
    with agent_user("another") as other:
        output(other, "setsid sleep 60 >/dev/null 2>&1 &")
        wait_for(other.processes)
        walled.end_processes()
        assert len(other.processes()) == 1
        other.end_processes()


def test_without_a_wall_a_command_stays_as_it_is_and_files_stay_ours(unwalled: AgentUser, tmp_path: Path) -> None:
    assert unwalled.argv(["sh", "-c", "true"]) == ["sh", "-c", "true"]
    before = tmp_path.stat()
    unwalled.give(tmp_path)
    unwalled.lend(tmp_path)
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_mode) == (before.st_uid, before.st_mode)


@pytest.mark.parametrize("script", DAEMONS.values(), ids=DAEMONS.keys())
def test_without_a_wall_a_daemon_is_found_and_ended_by_its_mark(unwalled: AgentUser, script: str) -> None:
    output(unwalled, script)
    wait_for(lambda: [p for p in unwalled.processes() if p.name() == "sleep"])
    daemons = unwalled.processes()
    unwalled.end_processes()
    assert not [p for p in daemons if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert unwalled.processes() == []


def test_without_a_wall_processes_of_another_mark_live_on(unwalled: AgentUser) -> None:
    other = AgentUser(None, f"{unwalled.mark}-other")
    with start(other, "exec sleep 60") as process:
        wait_for(other.processes)
        unwalled.end_processes()
        assert process.poll() is None
        other.end_processes()
        assert process.wait(5) == -9


def test_this_process_is_never_one_of_the_agents(unwalled: AgentUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, unwalled.mark)
    assert os.getpid() not in [process.pid for process in unwalled.processes()]

"""The agent's user: a uid that no other run has, no access to the trusted side, and no process left at the end."""

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
    reason="NOT ROOT: THE ISOLATION OF THE AGENT FROM THE TRUSTED SIDE IS NOT TESTED HERE; run as root on Linux",
)
# Each process of the chain writes a line, starts the next one in a new session, and ends. The file's removal stops it.
CHAIN = """
    [ -e "$BEAT" ] && [ "${N:-0}" -lt 5000 ] || exit
    echo >> "$BEAT"
    N=$((${N:-0} + 1)) setsid sh -c "$CHAIN" >/dev/null 2>&1 &
"""


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def isolated(mark: str) -> Iterator[AgentUser]:
    with agent_user(mark) as user:
        yield user
        user.end_processes()


@pytest.fixture
def unisolated(mark: str) -> Iterator[AgentUser]:
    user = AgentUser(None, mark, "a test")
    yield user
    user.end_processes()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that every user can search, unlike pytest's own."""
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
    raise AssertionError("the condition was not met within 5 seconds")


@as_root
def test_a_trial_command_gets_no_variable_of_this_process(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-this-process")
    with agent_user(mark) as user:
        assert user.can(["sh", "-c", "! grep -qa of-this-process /proc/self/environ"])
        assert not user.can(["false"])


@as_root
def test_users_at_the_same_time_never_share_a_uid() -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(agent_user(f"run {n}")) for n in range(30)]
        assert len({user.uid for user in users}) == 30
        assert all(user.uid in range(FIRST_UID, FIRST_UID + UID_COUNT) for user in users)
        assert not any(user.missing_isolation for user in users)


@as_root
def test_a_uid_is_not_given_to_another_process_while_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = "from flows.sandbox.user import agent_user\nwith agent_user('x') as user: print(user.uid)"
    program = f"import random\nrandom.sample = lambda uids, count: list(uids)\n{claim}"
    monkeypatch.setattr("random.sample", lambda uids, _: list(uids))
    with agent_user("first") as user:
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
        assert user.uid is not None
        assert int(other.stdout) > user.uid


@as_root
def test_a_uid_is_free_again_after_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.sample", lambda uids, _: list(uids)[5000:])
    with agent_user("first") as first:
        pass
    with agent_user("second") as second:
        assert first.uid == second.uid


@as_root
def test_the_agent_has_its_own_uid_and_gid_and_no_groups_or_capabilities_and_cannot_gain_any(
    isolated: AgentUser,
) -> None:
    lines = output(isolated, "cat /proc/self/status").splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == [str(isolated.uid)] * 4
    assert status["Groups"] == []
    assert status["NoNewPrivs"] == ["1"]
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind][0], 16) == 0


@as_root
@pytest.mark.parametrize(
    ("limit", "most"),
    [("core file size", 0), ("open files", 65_536), ("processes", 4_096), ("file size", 32 * 2**30)],
)
def test_the_agents_resources_are_limited(isolated: AgentUser, limit: str, most: int) -> None:
    [line] = [
        line for line in output(isolated, "cat /proc/self/limits").splitlines() if line.startswith(f"Max {limit} ")
    ]
    soft, hard = line.removeprefix(f"Max {limit} ").split()[:2]
    assert int(soft) <= int(hard) <= most
    assert most == 0 or int(soft) > 0


@as_root
def test_the_agent_cannot_read_what_only_root_may(isolated: AgentUser, open_folder: Path) -> None:
    for name, mode in (("secret", 0o600), ("public", 0o644)):
        (open_folder / name).write_text(name)
        (open_folder / name).chmod(mode)
    assert output(isolated, f"cat {open_folder}/public {open_folder}/secret 2>/dev/null") == "public"
    assert output(isolated, f"cat /proc/{os.getpid()}/environ 2>/dev/null || echo refused") == "refused\n"
    assert output(isolated, f"kill -TERM {os.getpid()} 2>/dev/null || echo refused") == "refused\n"


@as_root
def test_a_given_folder_belongs_to_the_agent_and_links_are_not_followed(isolated: AgentUser, open_folder: Path) -> None:
    outside, folder = open_folder / "outside", open_folder / "folder"
    outside.write_text("outside")
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "link").symlink_to(outside)
    (folder / "folder-link").symlink_to(open_folder)
    isolated.give(folder)
    assert {path.lstat().st_uid for path in (folder, *folder.rglob("*"))} == {isolated.uid}
    assert outside.stat().st_uid == open_folder.stat().st_uid == 0


@as_root
def test_the_directory_itself_is_given_last(
    isolated: AgentUser, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (open_folder / "place" / "a").mkdir(parents=True)
    chowned: list[str] = []
    chown = os.chown

    def record(path: str | Path, *owner: int, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        chowned.append(Path(path).name)
        chown(path, *owner, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    monkeypatch.setattr("os.chown", record)
    isolated.give(open_folder / "place")
    assert chowned == ["a", "place"]


@as_root
def test_files_that_the_agent_leaves_for_the_next_user_of_its_uid_are_removed(isolated: AgentUser) -> None:
    leftovers = [Path(folder) / f"left-{isolated.uid}" for folder in ("/tmp", "/dev/shm")]  # noqa: S108 (only inspected)
    output(isolated, f"mkdir -p {leftovers[0]}/x; chmod 0 {leftovers[0]}/x {leftovers[0]}; ln -s /etc {leftovers[1]}")
    assert all(path.is_symlink() or path.exists() for path in leftovers)
    isolated.remove_leftover_files()
    assert not any(path.is_symlink() or path.exists() for path in leftovers)
    assert Path("/etc/passwd").exists()


@as_root
def test_the_kernel_kills_the_agent_first_if_memory_runs_out(isolated: AgentUser) -> None:
    assert int(output(isolated, "cat /proc/self/oom_score_adj")) == 500


@as_root
def test_a_lent_file_can_be_read_by_its_agent_only(isolated: AgentUser, open_folder: Path) -> None:
    (open_folder / "lent").write_text("lent")
    isolated.lend(open_folder / "lent")
    assert output(isolated, f"cat {open_folder}/lent; echo x 2>/dev/null >> {open_folder}/lent") == "lent"
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
def test_a_daemon_of_the_agents_user_is_ended(isolated: AgentUser, script: str) -> None:
    output(isolated, script)
    wait_for(lambda: [p for p in isolated.processes() if p.name() == "sleep"])
    daemons = isolated.processes()
    isolated.end_processes()
    assert not [p for p in daemons if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert isolated.processes() == []


@as_root
@pytest.mark.parametrize(
    "first", ["", "kill -KILL -1 2>/dev/null\n"], ids=["peaceful", "kills every process of its uid"]
)
def test_a_chain_of_processes_that_fork_and_end_is_ended(isolated: AgentUser, open_folder: Path, first: str) -> None:
    # In some rounds, the second kind of chain would be quicker than a killer that runs with the agent's own uid.
    for n in range(8):
        beat = open_folder / str(n)
        beat.touch()
        isolated.give(beat)
        output(isolated, first + CHAIN, CHAIN=first + CHAIN, BEAT=str(beat))
        wait_for(lambda: beat.stat().st_size > 20)  # noqa: B023 (called at once)
        isolated.end_processes()
        links = beat.stat().st_size
        time.sleep(0.1)
        assert beat.stat().st_size == links


@as_root
def test_a_daemon_without_the_mark_is_ended_by_its_uid(isolated: AgentUser) -> None:
    output(isolated, f"unset {MARK}; setsid sleep 60 >/dev/null 2>&1 &")
    wait_for(isolated.processes)
    isolated.end_processes()
    assert isolated.processes() == []


@as_root
def test_the_processes_of_another_runs_agent_survive(isolated: AgentUser) -> None:
    with agent_user("another") as other:
        output(other, "setsid sleep 60 >/dev/null 2>&1 &")
        wait_for(other.processes)
        isolated.end_processes()
        assert len(other.processes()) == 1
        other.end_processes()


@as_root
def test_no_link_that_the_agent_makes_meanwhile_gives_it_a_file(
    isolated: AgentUser, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, outside, chown = open_folder / "tree" / "inner", open_folder / "outside", os.chown
    for folder in (inner, outside):
        folder.mkdir(parents=True)
        for name in "abc":
            (folder / name).touch()

    def swap_and_chown(path: str, *owner: int, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        if Path(path).name in "abc" and not inner.is_symlink():
            inner.rename(open_folder / "tree" / "moved")
            inner.symlink_to(outside)
        chown(path, *owner, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "chown", swap_and_chown)
    isolated.give(open_folder / "tree")
    assert inner.is_symlink()
    assert {path.stat().st_uid for path in outside.iterdir()} == {0}
    assert {path.stat().st_uid for path in (open_folder / "tree" / "moved").iterdir()} == {isolated.uid}


@as_root
def test_a_uid_that_has_processes_of_a_killed_run_is_not_taken(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.sample", lambda *_: [7, 8])
    left = AgentUser(FIRST_UID + 7, mark)
    with start(left, "exec sleep 60"):
        wait_for(left.processes)
        with agent_user("next") as user:
            assert user.uid == FIRST_UID + 8
        left.end_processes()
    with agent_user("next") as user:
        assert user.uid == FIRST_UID + 7


def test_without_isolation_commands_and_owners_of_files_are_unchanged(unisolated: AgentUser, tmp_path: Path) -> None:
    assert unisolated.argv(["sh", "-c", "true"]) == ["sh", "-c", "true"]
    before = tmp_path.stat()
    unisolated.give(tmp_path)
    unisolated.lend(tmp_path)
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_mode) == (before.st_uid, before.st_mode)


@pytest.mark.parametrize("script", DAEMONS.values(), ids=DAEMONS.keys())
def test_without_isolation_a_daemon_is_found_and_ended_by_its_mark(unisolated: AgentUser, script: str) -> None:
    output(unisolated, script)
    wait_for(lambda: [p for p in unisolated.processes() if p.name() == "sleep"])
    daemons = unisolated.processes()
    unisolated.end_processes()
    assert not [p for p in daemons if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert unisolated.processes() == []


def test_without_isolation_processes_with_another_mark_survive(unisolated: AgentUser) -> None:
    other = AgentUser(None, f"{unisolated.mark}-other")
    with start(other, "exec sleep 60") as process:
        wait_for(other.processes)
        unisolated.end_processes()
        assert process.poll() is None
        other.end_processes()
        assert process.wait(5) == -9


def test_this_process_never_counts_as_one_of_the_agents(unisolated: AgentUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, unisolated.mark)
    assert os.getpid() not in [process.pid for process in unisolated.processes()]

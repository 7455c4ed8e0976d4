"""The agent's user has a name and a home directory while its run lasts, and this machine's accounts stay unharmed."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from flows.sandbox import account as account_module
from flows.sandbox.account import Account, account
from tests.support.marks import needs_root
from tests.support.private_etc import run_with_private_etc

PASSWD = b"root:x:0:0:root:/root:/bin/bash\nj\xf6rg:x:1000:1000:J\xf6rg,,,:/home/j:/bin/sh\n# no newline at the end"
GROUP = b"root:x:0:\nstaff:x:50:j\xf6rg\n"
HOME = Path("/run/agent/home")
AS_AGENT = """
import os, subprocess, sys
from flows.sandbox.workspace import workspace
with workspace() as directories:
    environment = {"PATH": os.environ["PATH"], **directories.agent_variables}
    command = directories.agent.argv(["bash", "-c", sys.argv[1]])
    completed = subprocess.run(command, env=environment, cwd=directories.work_tree, stdout=subprocess.PIPE, text=True)
    print(directories.account, completed.stdout.replace(str(directories.home), "HOME"), completed.returncode, sep="\\n")
print(open("/etc/passwd").read().count("claude-code-headless"), open("/etc/group").read().count("agent"))
"""


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "etc"
    # Other tests may have agents with accounts of this machine at the same time.
    monkeypatch.setattr("flows.sandbox.account._ETC", folder)
    folder.mkdir(mode=0o755)
    (folder / "passwd").write_bytes(PASSWD)
    (folder / "group").write_bytes(GROUP)
    (folder / "passwd").chmod(0o640)
    return folder


def add(stack: ExitStack, etc: Path, uid: int, is_claimed: Callable[[int], bool] = lambda _: True) -> Account:
    return stack.enter_context(account(uid, HOME, is_claimed, etc))


def test_the_account_is_there_while_the_context_lasts_and_nothing_else_changes(etc: Path) -> None:
    with account(70_001, HOME, lambda _: True, etc) as own:
        assert own == Account("agent")
        line = b"agent:*:70001:70001:claude-code-headless:/run/agent/home:/bin/bash\n"
        assert (etc / "passwd").read_bytes() == PASSWD + b"\n" + line
        assert (etc / "group").read_bytes() == GROUP + b"agent:*:70001:\n"
        assert (etc / "passwd").stat().st_mode & 0o777 == 0o640
    assert (etc / "passwd").read_bytes() == PASSWD + b"\n"
    assert (etc / "group").read_bytes() == GROUP
    assert (etc / "passwd").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in etc.iterdir()) == [".pwd.lock", "group", "passwd"]


@pytest.mark.parametrize("file", ["passwd", "group"])
def test_a_name_that_this_machine_uses_is_not_taken(etc: Path, file: str) -> None:
    with (etc / file).open("ab") as stream:
        stream.write(b"\nagent:x:1001:\n")
    before = (etc / file).read_bytes()
    with account(70_001, HOME, lambda _: True, etc) as own:
        assert own.name == "agent-70001"
        assert (etc / file).read_bytes().startswith(before)
    assert (etc / file).read_bytes() == before


def test_runs_at_the_same_time_have_different_names_and_remove_only_their_own(etc: Path) -> None:
    with ExitStack() as stack:
        assert [add(stack, etc, uid).name for uid in (70_001, 70_002, 70_003)] == [
            "agent",
            "agent-70002",
            "agent-70003",
        ]
        with account(70_004, HOME, lambda _: True, etc):
            assert (etc / "passwd").read_text(errors="replace").count("claude-code-headless") == 4
        assert (etc / "passwd").read_text(errors="replace").count("claude-code-headless") == 3
    assert (etc / "passwd").read_bytes() == PASSWD + b"\n"
    assert (etc / "group").read_bytes() == GROUP


def test_accounts_of_killed_runs_are_removed_and_those_of_living_runs_stay(etc: Path) -> None:
    never_left = [account(uid, HOME, lambda _: True, etc) for uid in (70_001, 70_002, 70_003)]
    for context in never_left:
        context.__enter__()
    with account(70_002, Path("/new"), lambda uid: uid != 70_001, etc) as own:
        assert own.name == "agent"
        lines = (etc / "passwd").read_bytes().splitlines()
        assert [line.split(b":")[:3] for line in lines if b"claude-code-headless" in line] == [
            [b"agent-70003", b"*", b"70003"],
            [b"agent", b"*", b"70002"],
        ]
        assert b":/new:" in lines[-1]
        assert (etc / "group").read_bytes() == GROUP + b"agent-70003:*:70003:\nagent:*:70002:\n"


def test_many_runs_that_start_and_end_at_once_lose_no_line(etc: Path) -> None:
    program = f"""
import threading
from pathlib import Path
from flows.sandbox.account import account
def use(uid):
    for _ in range(5):
        with account(uid, Path("/home"), lambda _: True, Path({str(etc)!r})) as own:
            assert own.name and not own.missing, own
            assert f":{{uid}}:{{uid}}:" in Path({str(etc / "passwd")!r}).read_text(errors="replace")
import sys
threads = [threading.Thread(target=use, args=(int(sys.argv[1]) + n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    processes = [subprocess.Popen([sys.executable, "-W", "error", "-c", program, str(70_000 + 10 * n)],
                                  stderr=subprocess.PIPE) for n in range(3)]  # fmt: skip
    assert [process.communicate()[1] for process in processes] == [b""] * 3
    assert (etc / "passwd").read_bytes() == PASSWD + b"\n"
    assert (etc / "group").read_bytes() == GROUP


def test_a_folder_in_which_others_may_write_is_not_used(etc: Path) -> None:
    etc.chmod(0o777)
    with account(70_001, HOME, lambda _: True, etc) as own:
        assert "other users can write" in own.missing
    assert (etc / "passwd").read_bytes() == PASSWD


def test_a_symbolic_link_is_not_replaced(etc: Path, tmp_path: Path) -> None:
    (etc / "passwd").rename(tmp_path / "passwd")
    (etc / "passwd").symlink_to(tmp_path / "passwd")
    with account(70_001, HOME, lambda _: True, etc) as own:
        assert "symbolic link" in own.missing
    assert (tmp_path / "passwd").read_bytes() == PASSWD


def test_accounts_that_another_program_has_locked_are_left_alone(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "_LOCK_SECONDS", 0.1)
    hold = f"import fcntl; f = open({str(etc / '.pwd.lock')!r}, 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with account(70_001, HOME, lambda _: True, etc) as own:
            assert "another process has locked" in own.missing
        other.kill()
    assert (etc / "passwd").read_bytes() == PASSWD


def test_without_an_account_java_still_gets_the_home_directory() -> None:
    variables = Account("agent", "OSError: read-only").variables(HOME)
    assert variables["JAVA_TOOL_OPTIONS"].startswith("-Duser.home=/run/agent/home ")
    assert variables["USER"] == variables["LOGNAME"] == "agent"
    assert Account("agent").variables(HOME) == {"USER": "agent", "LOGNAME": "agent"}
    assert Account().variables(HOME) == {}


def test_an_agent_that_is_not_isolated_has_the_name_of_this_process() -> None:
    with account(None, HOME, lambda _: True) as own:
        assert own == Account(subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip())


PROGRAMS = {
    "whoami": ("whoami", "agent"),
    "id": ("id -gn", "agent"),
    "python3": ("env -u USER -u LOGNAME python3 -c 'import getpass; print(getpass.getuser())'", "agent"),
    "bash": ("echo ~agent", "HOME"),
    "node": ("node -p 'os.userInfo().username + os.userInfo().homedir'", "agentHOME"),
    "npm": ("echo '{}' > package.json; npm install --offline --silent && echo installed", "installed"),
    "ssh": ("ssh -G x | grep ^user\\ ", "user agent"),
    "java": ("java -XshowSettings:properties -version 2>&1 | grep -o 'user.home = .*'", "user.home = HOME"),
    "mvn": ("mvn -v >/dev/null && ls -A && echo ran", "ran"),
    "initdb": ("initdb -D $HOME/db >/dev/null && echo made", "made"),
}


@needs_root
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_agent_knows_its_user(program: str, tmp_path: Path) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    script, expected = PROGRAMS[program]
    output = run_with_private_etc(tmp_path, AS_AGENT, script).splitlines()
    assert output == ["Account(name='agent', missing='')", expected, "", "0", "0 0"]


@needs_root
@pytest.mark.parametrize(
    ("after", "reason"),
    [("mount -o remount,bind,ro /etc", "Read-only file system"), ("mount --bind /etc/passwd /etc/passwd", "busy")],
    ids=["read-only", "mounted file"],
)
def test_a_run_without_an_account_goes_on(tmp_path: Path, after: str, reason: str) -> None:
    java = "java -XshowSettings:properties -version 2>&1 | grep -o 'user.home = .*'"
    script = f"python3 -c 'import getpass; print(getpass.getuser())'; {java if shutil.which('java') else 'echo'}"
    output = run_with_private_etc(tmp_path, AS_AGENT, script, after=after).splitlines()
    assert reason in output[0]
    assert output[1] == "agent"
    assert not shutil.which("java") or output[2] == "user.home = HOME"
    assert output[-1] == "0 0"

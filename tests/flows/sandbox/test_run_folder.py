"""The folder of a run: the same path for the next run, another one beside a run that still works."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.sandbox import run_folder as run_folder_module
from flows.sandbox.run_folder import run_folder
from flows.sandbox.user import FIRST_UID, UID_COUNT, end_agents_of_killed_run
from tests.support.service_settings import PYTHON


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_next_run_has_the_same_path_and_a_run_beside_it_another(disk: Path) -> None:
    with run_folder() as first, run_folder() as second:
        assert (first, second) == (disk / "claude-code-headless-1", disk / "claude-code-headless-2")
    assert not first.exists()
    assert not second.exists()
    with run_folder() as third:
        assert third == first


def test_the_folder_of_a_killed_run_is_emptied_and_used_again(disk: Path) -> None:
    script = (
        "import os, signal\nfrom flows.sandbox.run_folder import run_folder\n"
        "with run_folder() as folder:\n"
        "    (folder / 'agent' / 'deep').mkdir(parents=True); (folder / 'link').symlink_to('/etc')\n"
        "    (folder / 'agent').chmod(0o500)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(disk)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert (disk / "claude-code-headless-1" / "agent").exists()
    with run_folder() as folder:
        assert folder == disk / "claude-code-headless-1"
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o777 == 0o700
    assert Path("/etc/passwd").exists()


def test_folders_of_a_thousand_levels_are_removed(disk: Path) -> None:
    deep = Path(*["d"] * 1200)
    left = disk / "claude-code-headless-1"
    subprocess.run(["mkdir", "-p", left / deep], check=True)
    with run_folder() as folder:
        assert folder == left
        assert list(folder.iterdir()) == []
        subprocess.run(["mkdir", "-p", folder / deep], check=True)
    assert not folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an agent with a user of its own")
def test_the_agents_of_a_killed_run_are_ended_before_its_folder_is_used_again(disk: Path) -> None:
    uid = FIRST_UID + UID_COUNT - 1
    agents_folder = disk / "claude-code-headless-1" / "agent"
    agents_folder.mkdir(parents=True)
    os.chown(agents_folder, uid, uid)
    shared = Path("/var/tmp", f"left-by-{uid}")  # noqa: S108
    shared.touch()
    os.chown(shared, uid, uid)
    with subprocess.Popen(["sleep", "60"], user=uid) as process, run_folder(end_agents_of_killed_run):
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert not shared.exists()


def test_folders_that_cannot_be_written_are_removed_without_root(disk: Path) -> None:
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    disk.chmod(0o777)
    for parent in disk.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    outside = disk / "outside"
    outside.mkdir(mode=0o555)
    before = outside.stat().st_mode
    script = (
        "import os, sys\nexec(sys.stdin.read())\n"
        "for is_killed in (False, True, False):\n"
        "    if is_killed and os.fork():\n"
        "        os.wait()\n"
        "        continue\n"
        "    with run_folder() as folder:\n"
        "        print(folder.name, os.listdir(folder), flush=True)\n"
        "        (folder / 'go' / 'mod').mkdir(parents=True); (folder / 'go' / 'mod' / 'file').touch()\n"
        "        (folder / 'go' / 'link').symlink_to(folder.parent / 'outside')\n"
        "        (folder / 'go' / 'mod').chmod(0o555); (folder / 'go').chmod(0o000)\n"
        "        if is_killed:\n"
        "            os._exit(9)\n"
    )
    result = subprocess.run(
        [*user, PYTHON, "-c", script],
        input=Path(run_folder_module.__file__).read_text(),
        env={"TMPDIR": str(disk), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == ["claude-code-headless-1 []"] * 3
    assert [path.name for path in disk.iterdir()] == ["outside"]
    assert outside.stat().st_mode == before


def _link(path: Path) -> None:
    path.symlink_to("/etc")


def _file(path: Path) -> None:
    path.write_text("a file of a person")


def _foreign(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("a file of a person")
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize("make", [_link, _file, _foreign])
def test_what_another_user_put_there_is_left_alone(disk: Path, make: Callable[[Path], None]) -> None:
    if make is _foreign and os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    taken = disk / "claude-code-headless-1"
    make(taken)
    before = taken.lstat()
    with run_folder() as folder:
        assert folder == disk / "claude-code-headless-2"
    assert taken.lstat() == before
    assert (taken / "file").exists() == (make is _foreign)

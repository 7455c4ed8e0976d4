"""Services: a user of their own, their folder, their health, their addresses, and none left when the run has ended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flows.errors import ServiceFailed
from flows.sandbox import commands
from flows.sandbox.services import Service, Services, run_services
from flows.sandbox.user import MARK
from flows.sandbox.workspace import Workspace, workspace
from tests.support.marks import needs_root
from tests.support.service_settings import PYTHON, port_of, web_service

PROJECT = Path(__file__).parents[3]


class Log:
    """The lines and the warnings of services."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def start(self, services: Services) -> None:
        services.start(self.lines.append, self.warnings.append)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as directories:
        yield directories


def as_agent(directories: Workspace, script: str) -> str:
    return commands.run(directories, ["bash", "-c", script], beside_agent=True).text


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition was not met within 10 seconds")


def failure(directories: Workspace, log: Log, *services: Service) -> str:
    """Start services of which one must fail; return the message, and check that no process is left."""
    with run_services(directories, services, os.environ) as running, pytest.raises(ServiceFailed) as raised:
        log.start(running)
    assert running.user.processes() == []
    assert log.warnings == []
    return str(raised.value)


@needs_root
def test_a_service_has_a_user_and_a_folder_of_its_own(directories: Workspace, log: Log) -> None:
    probe = """
    whoami > who.txt; echo "$HOME $TMPDIR $SERVICE_FOLDER" > folders.txt; pwd > pwd.txt
    for place in ../../agent/home ../../agent/work-tree ../../claude ../../trusted ../../config; do
      ls $place 2>/dev/null && echo "read $place" >> seen.txt
      touch $place/x 2>/dev/null && echo "wrote $place" >> seen.txt
    done; env > env.txt; cat /proc/self/status > status.txt
    cat /proc/*/environ > environs.txt 2>/dev/null || true; touch seen.txt
    """
    service = web_service(before=probe)
    host = {**os.environ, "AWS_SECRET_ACCESS_KEY": "of-this-process", "HTTPS_PROXY": "http://proxy.example"}
    with run_services(directories, (service,), host) as running:
        log.start(running)
        assert running.user.uid not in {None, directories.agent.uid, os.getuid()}
        port = port_of(service)
        url = f"http://127.0.0.1:{port}"
        read = [as_agent(directories, f"curl -s {url}/{name}.txt") for name in ("uid", "who", "pwd", "seen")]
        assert read[0] == str(running.user.uid)
        assert read[1].startswith("service")
        assert read[2:] == [str(directories.services / "web"), ""]
        folder = directories.services
        assert as_agent(directories, f"curl -s {url}/folders.txt") == f"{folder} {folder}/.tmp {folder}/web"
        assert (
            as_agent(directories, f"ls {folder} || touch {folder}/x || kill -9 -1 2>&1; echo x > {folder}/web/x") == ""
        )
        environment = as_agent(directories, f"curl -s {url}/env.txt {url}/environs.txt")
        assert "of-this-process" not in environment
        assert "proxy" not in environment
        assert "CapEff:\t0000000000000000" in as_agent(directories, f"curl -s {url}/status.txt")
        assert running.summary == f"web (127.0.0.1:{port})"
        directories.agent.end_processes()
        running.check()
    assert not log.warnings
    assert running.user.processes() == []


def test_services_start_in_their_order_and_can_use_those_before_them(directories: Workspace, log: Log) -> None:
    first = web_service("first")
    second = web_service("second", before=f"{first.health} > first.txt")
    with run_services(directories, (first, second), os.environ) as running:
        log.start(running)
        address = f"http://127.0.0.1:{port_of(second)}/first.txt"
        assert as_agent(directories, f"curl -s {address}") == as_agent(directories, first.health)
    assert [line.partition(" ")[0] for line in log.lines if line.endswith(": healthy")] == ["first", "second"]


@needs_root
def test_a_service_that_changes_the_folder_of_another_gets_no_file_of_the_flow(
    directories: Workspace, log: Log, tmp_path: Path
) -> None:
    (tmp_path / "secret").touch()
    swap = f"rm -r ../second && ln -s {tmp_path} ../second"
    with run_services(directories, (web_service("first", before=swap), web_service("second")), os.environ) as running:
        assert {path.owner() for path in directories.services.iterdir()} == {directories.services.owner()}
        with pytest.raises(ServiceFailed, match="the service second"):
            log.start(running)
    assert (tmp_path.stat().st_uid, (tmp_path / "secret").stat().st_uid) == (0, 0)


def test_a_service_without_its_folder_is_a_named_error(directories: Workspace, log: Log) -> None:
    first = web_service("first", before="rm -r ../second")
    text = failure(directories, log, first, web_service("second"))
    assert text.startswith("the service second cannot be started (")


def test_services_that_start_again_have_empty_folders(directories: Workspace, log: Log) -> None:
    services = (web_service("first"), web_service("second", before="echo x >> ../second/starts.txt; cp -r . ../extra"))
    with run_services(directories, services, os.environ) as running:
        log.start(running)
        address = f"http://127.0.0.1:{port_of(services[1])}"
        before, summary = running.user.processes(), running.summary
        running.restart()
        assert not any(process.is_running() for process in before)
        assert as_agent(directories, f"curl -s {address}/starts.txt") == "x"
        assert (running.summary, log.warnings) == (summary, [])
        running.check()
    assert running.user.processes() == []


def test_without_services_nothing_is_started(directories: Workspace) -> None:
    with run_services(directories, (), os.environ) as running:
        running.check()
        running.restart()
        assert running.summary == ""
        assert not directories.services.exists()


def test_a_service_that_ends_fails_with_its_last_lines(directories: Workspace, log: Log) -> None:
    text = failure(directories, log, Service("db", "echo cannot lock the file >&2\nexit 3", "false", 20))
    assert text.startswith("the service db ended with exit status 3. Its last lines:\ncannot lock the file\n")
    assert "python -m flows setup" in text
    assert "db: cannot lock the file" in log.lines
    assert "stay in the foreground" in failure(directories, log, Service("two", "sleep 60 &", "false", 20))


def test_a_service_that_does_not_become_healthy_fails_in_time(directories: Workspace, log: Log) -> None:
    text = failure(directories, log, Service("db", "echo starting; exec sleep 60", "echo no route; exit 4", 1))
    assert "the service db was not healthy within 1 seconds" in text
    assert "Its health command ended with exit status 4 and printed: no route." in text
    assert "Its last lines:\nstarting" in text


def test_a_health_command_that_hangs_is_ended(directories: Workspace, log: Log) -> None:
    assert "Its health command did not end." in failure(directories, log, Service("db", "exec sleep 60", "sleep 60", 1))


def test_a_health_command_that_another_process_answers_is_refused(directories: Workspace, log: Log) -> None:
    with workspace() as others:
        service = web_service()
        with run_services(others, (service,), os.environ) as of_another_run:
            log.start(of_another_run)
            text = failure(directories, log, service)
            of_another_run.check()
    assert "the service web cannot be told from another process" in text


@needs_root
@pytest.mark.parametrize("address", ["0.0.0.0", "::"])  # noqa: S104 (what is refused)
def test_a_service_that_other_machines_could_reach_is_refused(directories: Workspace, log: Log, address: str) -> None:
    service = web_service(address=address)
    text = failure(directories, log, service)
    shown = f"[::]:{port_of(service)}" if address == "::" else f"0.0.0.0:{port_of(service)}"
    assert f"the service web listens on {shown}, which other machines may reach" in text
    assert "--bind 127.0.0.1" in text


@needs_root
def test_an_address_that_a_service_opens_later_is_noticed(directories: Workspace, log: Log) -> None:
    port = port_of(web_service())
    later = f"(while [ ! -e open ]; do sleep 0.1; done; exec {PYTHON} -m http.server {port}) &"
    with run_services(directories, (web_service(before=later),), os.environ) as running:
        log.start(running)
        running.check()
        (directories.services / "web" / "open").touch()
        wait_for(lambda: as_agent(directories, f"curl -s -o /dev/null http://127.0.0.1:{port}/ && echo up") == "up")
        with pytest.raises(ServiceFailed, match=r"listens on 0\.0\.0\.0"):
            running.check()


@pytest.mark.parametrize("is_isolated", [pytest.param(True, marks=needs_root), False], ids=["root", "one-user"])
def test_what_a_service_left_in_the_background_is_ended_with_it(
    directories: Workspace, log: Log, monkeypatch: pytest.MonkeyPatch, *, is_isolated: bool
) -> None:
    if not is_isolated:
        monkeypatch.setattr("flows.sandbox.user._reason_for_no_isolation", lambda: "a test")
    service = web_service(before="for n in 1 2 3; do setsid nohup sh -c 'setsid sleep 300 & sleep 300' & done")
    with run_services(directories, (service,), os.environ) as running:
        log.start(running)
        wait_for(lambda: len(running.user.processes()) >= 7)
        directories.agent.end_processes()
        assert len(running.user.processes()) >= 7
    assert running.user.processes() == []
    assert not log.warnings


def test_a_service_that_ends_later_is_a_warning_and_fails_the_next_check(directories: Workspace, log: Log) -> None:
    service = web_service(before="trap 'echo out of memory; exit 9' TERM", after="")
    with run_services(directories, (service,), os.environ) as running:
        log.start(running)
        [shell] = [p for p in running.user.processes() if p.name() == "bash"]
        for process in [shell, *shell.children()]:  # bash runs the trap when its child has ended
            process.terminate()
        wait_for(lambda: log.warnings)
        with pytest.raises(ServiceFailed, match="the service web ended with exit status 9"):
            running.check()
    assert len(log.warnings) == 1
    assert "the service web ended with exit status 9. Its last lines:\n" in log.warnings[0]
    assert "out of memory" in log.warnings[0]


def test_a_service_that_floods_its_output_works_and_is_logged_in_part(directories: Workspace, log: Log) -> None:
    service = web_service(before="yes flood & (while :; do head -c 1000000 /dev/zero; done) &")
    with run_services(directories, (service,), os.environ) as running:
        log.start(running)
        wait_for(lambda: "web: the rest of the output is not logged" in log.lines)
        assert as_agent(directories, service.health)
    assert len(log.lines) < 600


PROGRAM = """
import os, sys, time
from flows.sandbox.services import Service, run_services
from flows.sandbox.workspace import workspace
web = Service("web", sys.argv[1], sys.argv[2])
with workspace() as directories, run_services(directories, (web,), os.environ) as s:
    s.start(lambda line: None, print)
    print(s.user.uid, s.user.mark, directories.root, flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("how", ["process", "group"])
def test_a_killed_flow_leaves_no_service_behind(how: str) -> None:
    service = web_service(before="setsid sleep 300 &", after="")
    flow = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, service.command, service.health],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert flow.stdout is not None
    _, mark, folder = flow.stdout.readline().split()
    names = {process.name() for process in processes_with(mark)}
    os.killpg(flow.pid, signal.SIGKILL) if how == "group" else flow.kill()
    flow.communicate()
    assert names == {"python3", "sleep"}
    wait_for(lambda: not processes_with(mark))
    shutil.rmtree(folder)


@needs_root
def test_services_of_a_killed_run_are_ended_before_those_of_the_next_run_start(
    directories: Workspace, log: Log
) -> None:
    service = web_service(before="setsid sleep 300 &", after="")
    kill_guard = "[p.kill() for p in psutil.Process().children() if 'guard' in ' '.join(p.cmdline())]"
    code = PROGRAM.replace("time.sleep(300)", f"import psutil; {kill_guard}; os.kill(os.getpid(), 9)")
    flow = subprocess.run(
        [sys.executable, "-c", code, service.command, service.health],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    _, mark, folder = flow.stdout.split()
    assert processes_with(mark), "the guard is gone, so something is left"
    with run_services(directories, (service,), os.environ) as running:
        log.start(running)
        assert not processes_with(mark)
    shutil.rmtree(folder)


def processes_with(mark: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if has_mark(process, mark)]


def has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

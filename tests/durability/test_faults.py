"""Faults that a run survives: servers that are away for a while, an overloaded model, and a full disk."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.local.git_remote import GitFault
from deployments.local.prefect_server import free_port, prefect_server
from deployments.local.scripted_model import ModelFault, Script, Tool, Turn
from tests.durability.machines import Machine
from tests.durability.points import WORKED, log_matches, wait
from tests.durability.scene import TURNS, WORK, Scene, scene, steps, table_row
from tests.support.fault_proxy import FaultProxy, How
from tests.support.marks import needs_root
from tests.support.world import World

Record = Callable[[str, object], None]


@pytest.fixture
def the_run(world: World, tmp_path: Path) -> Iterator[Scene]:
    with scene(world, tmp_path / "store") as new_scene:
        yield new_scene


def complete(the_run: Scene, machine: Machine, fault: str, record: Record, turns_again: int = 0) -> None:
    """Wait until the run ends, and assert that the fault did no harm."""
    started = time.monotonic()
    machine.wait_for_exit()
    seconds = time.monotonic() - started
    record("durability", table_row(fault=fault, state=the_run.run.state, seconds=seconds))
    assert the_run.run.state == "Completed", machine.log()
    assert the_run.is_delivered(), machine.log()
    assert the_run.requested_turns <= TURNS + turns_again
    assert not the_run.left_behind()


def test_a_run_waits_for_a_run_store_that_is_away_for_30_seconds(the_run: Scene, record_property: Record) -> None:
    from prefect_aws import S3Bucket  # noqa: PLC0415

    bucket = f"results-{uuid.uuid4().hex[:8]}"
    the_run.world.stack.s3().create_bucket(Bucket=bucket)
    S3Bucket(bucket_name=bucket).save(bucket)
    with the_run.machine(variables={"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": f"s3-bucket/{bucket}"}) as machine:
        wait(machine, lambda: the_run.requested_turns == 9)
        with the_run.s3.unreachable():
            time.sleep(30)
            assert "a checkpoint could not be saved" in machine.log()
            assert machine.process.poll() is None, machine.log()
        complete(the_run, machine, "run store away for 30 s", record_property)


@contextmanager
def for_seconds(seconds: float, begin: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    begin()
    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@pytest.mark.parametrize("service", ["/git-upload-pack", "/git-receive-pack"])
def test_a_git_remote_that_answers_503_for_20_seconds_is_retried(
    the_run: Scene, service: str, record_property: Record
) -> None:
    faults = the_run.world.stack.git.faults
    faults.extend([GitFault(service, 503)] * 500)
    with the_run.machine() as machine:
        wait(machine, lambda: len(faults) < 500)
        with for_seconds(20, lambda: None, faults.clear):
            complete(the_run, machine, f"git remote answers 503 for 20 s to {service}", record_property)


def test_a_run_waits_for_a_model_that_is_overloaded_for_20_seconds(the_run: Scene, record_property: Record) -> None:
    with the_run.machine() as machine:
        wait(machine, lambda: the_run.requested_turns == 6)
        faults = the_run.world.stack.model.script.faults
        with for_seconds(20, lambda: faults.extend([ModelFault(529)] * 500), faults.clear):
            refused = 20  # the requested turns include those that were refused
            complete(the_run, machine, "model answers 529 for 20 s", record_property, turns_again=refused)


@pytest.mark.parametrize("how", ["reset", "stall", "truncate", "away"])
def test_a_prefect_api_that_is_cut_off_does_no_harm(
    the_run: Scene, how: How | Literal["away"], record_property: Record
) -> None:
    with FaultProxy(the_run.world.stack.prefect_api_url) as api:
        variables = {"PREFECT_API_URL": api.url, "PREFECT_API_REQUEST_TIMEOUT": "5"}
        with the_run.machine(variables=variables) as machine:
            wait(machine, log_matches(r"says: Step 3\.", machine))
            if how == "away":
                with api.unreachable():
                    wait(machine, log_matches(WORKED, machine))
                    time.sleep(10)
            else:
                cuts = [api.cut(how, after_bytes=50) for _ in range(3)]
                api.break_off()
                complete(the_run, machine, f"Prefect API: {how}", record_property)
                assert any(cut.happened.is_set() for cut in cuts)
                return
            complete(the_run, machine, "Prefect API away for 10 s", record_property)


def test_a_prefect_server_that_is_restarted_does_no_harm(world: World, tmp_path: Path, record_property: Record) -> None:
    port = free_port()
    url, home = f"http://127.0.0.1:{port}/api", tmp_path / "prefect"
    with temporary_settings({PREFECT_API_URL: url}), ExitStack() as server:
        server.enter_context(prefect_server(home, port))
        with (
            scene(world, tmp_path / "store") as the_run,
            the_run.machine(variables={"PREFECT_API_URL": url}) as machine,
        ):
            wait(machine, log_matches(r"says: Step 3\.", machine))
            server.close()
            server.enter_context(prefect_server(home, port))
            complete(the_run, machine, "Prefect server restarted", record_property)


FILL = (
    "head -c 4G /dev/zero > $TMPDIR/fill; printf 9 | dd of=step-1 conv=notrunc status=none; "
    "sleep 5; df -k $TMPDIR | tail -1"
)
"""Rewriting the file in place needs no disk space, but a checkpoint of it does."""


def full_disk(step: int, *, frees: bool) -> Script:
    """Return a script that fills the disk in one step and, if `frees` is set, frees it in the next."""
    turns = list(steps())
    turns.insert(step, Turn("I fill the disk.", (Tool("Bash", {"command": FILL}),)))
    if frees:
        turns.insert(step + 1, Turn("I free it.", (Tool("Bash", {"command": "rm $TMPDIR/fill"}),)))
    return Script(tuple(turns))


@needs_root
def test_a_disk_that_is_full_for_a_while_costs_a_checkpoint_at_most(the_run: Scene, record_property: Record) -> None:
    the_run.world.stack.model.script = full_disk(5, frees=True)
    with the_run.machine(disk_mb=700) as machine:
        complete(the_run, machine, "disk full for 5 s", record_property, turns_again=2)
        assert "a checkpoint could not be saved: the disk of this machine is full" in machine.log()


@needs_root
def test_a_disk_that_stays_full_fails_the_run_by_name_and_the_work_is_saved(
    the_run: Scene, record_property: Record
) -> None:
    the_run.world.stack.model.script = full_disk(5, frees=False)
    started = time.monotonic()
    with the_run.machine(disk_mb=700) as machine:
        machine.wait_for_exit()
        seconds = time.monotonic() - started
        record_property("durability", table_row(fault="disk full", state=the_run.run.state, seconds=seconds))
        assert the_run.run.state == "Failed", machine.log()
        assert "DiskFull" in machine.log()
        assert not the_run.left_behind()
    the_run.world.git("fetch", "--quiet", str(the_run.saved_file("change.bundle")), "the-branch:kept")
    saved_files = set(the_run.world.git("diff", "--name-only", "main", "kept").splitlines())
    assert {f"step-{n}" for n in range(1, 6)} <= saved_files <= WORK

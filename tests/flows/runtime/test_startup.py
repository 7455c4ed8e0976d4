"""The start and end of a process: no garbage scans of imported modules, and no waiting for the heartbeat thread."""

import gc
import threading

import pytest
from prefect import flow, flow_engine

from flows.runtime import startup


def test_imported_modules_are_not_scanned_for_garbage_but_later_objects_are() -> None:
    before = gc.get_freeze_count()
    try:
        with startup.importing():
            assert not gc.isenabled()
            objects = [[number] for number in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() - before >= len(objects)
    finally:
        gc.unfreeze()


def test_garbage_collection_is_on_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), startup.importing():
        raise ImportError
    assert gc.isenabled()
    gc.unfreeze()


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("waits", [True, False])
def test_a_flow_does_not_wait_for_its_heartbeats(monkeypatch: pytest.MonkeyPatch, *, waits: bool) -> None:
    # So that monkeypatch restores the function at the end of the test.
    monkeypatch.setattr(flow_engine, "_send_heartbeats", flow_engine._send_heartbeats)
    if not waits:
        startup.end_without_heartbeats()
    heartbeat_threads: list[threading.Thread] = []

    @flow
    def with_heartbeats() -> None:
        heartbeat_threads.extend(thread for thread in threading.enumerate() if _is_heartbeat(thread))

    with_heartbeats()
    assert heartbeat_threads
    assert any(thread.is_alive() for thread in heartbeat_threads) is not waits
    for thread in heartbeat_threads:
        thread.join()


def _is_heartbeat(thread: threading.Thread) -> bool:
    return any(getattr(argument, "__name__", "") == "heartbeat_loop" for argument in getattr(thread, "_args", ()))

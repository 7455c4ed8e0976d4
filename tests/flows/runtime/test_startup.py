"""The start and the end of a process: what is imported is not looked through, and nothing is waited for in vain."""

import gc
import threading

import pytest
from prefect import flow, flow_engine

from flows.runtime import startup as start


def test_what_is_imported_is_not_looked_through_again_and_all_else_is() -> None:
    before = gc.get_freeze_count()
    try:
        with start.importing():
            assert not gc.isenabled()
            kept = [[number] for number in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() - before >= len(kept)
    finally:
        gc.unfreeze()


def test_an_import_that_fails_leaves_the_collection_on() -> None:
    with pytest.raises(ImportError), start.importing():
        raise ImportError
    assert gc.isenabled()
    gc.unfreeze()


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("waits", [True, False])
def test_a_flow_does_not_wait_for_its_heartbeats(monkeypatch: pytest.MonkeyPatch, *, waits: bool) -> None:
    # Put back at the end of the test, whatever was put in its place.
    monkeypatch.setattr(flow_engine, "_send_heartbeats", flow_engine._send_heartbeats)
    if not waits:
        start.end_without_heartbeats()
    seen: list[threading.Thread] = []

    @flow
    def with_heartbeats() -> None:
        seen.extend(thread for thread in threading.enumerate() if _is_heartbeat(thread))

    with_heartbeats()
    assert seen
    assert any(thread.is_alive() for thread in seen) is not waits
    for thread in seen:
        thread.join()


def _is_heartbeat(thread: threading.Thread) -> bool:
    return any(getattr(argument, "__name__", "") == "heartbeat_loop" for argument in getattr(thread, "_args", ()))

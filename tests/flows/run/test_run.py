"""A run was requested when it was created, or at the time for which a schedule has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest

from flows.run import run

CREATED = datetime(2026, 11, 20, 9, tzinfo=UTC)
SCHEDULED = datetime(2026, 11, 28, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("auto_scheduled", "moment"), [(False, CREATED), (True, SCHEDULED)], ids=["person", "schedule"]
)
def test_a_schedule_requests_its_runs_at_their_time(
    monkeypatch: pytest.MonkeyPatch, *, auto_scheduled: bool, moment: datetime
) -> None:
    flow_run = SimpleNamespace(created=CREATED, auto_scheduled=auto_scheduled)

    @contextmanager
    def client(*, sync_client: bool) -> Iterator[SimpleNamespace]:
        assert sync_client
        yield SimpleNamespace(read_flow_run=lambda _id: flow_run)

    monkeypatch.setattr(run, "get_client", client)
    monkeypatch.setattr(run, "scheduled_start", lambda: SCHEDULED)
    monkeypatch.setattr(run, "runtime", SimpleNamespace(flow_run=SimpleNamespace(id=str(uuid4()))))
    assert run.requested_at() == moment.isoformat()

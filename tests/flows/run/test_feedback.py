"""Feedback to a run is read in its order, and none is lost if several people give some at once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from prefect import flow, get_client
from prefect.states import Failed

from flows.run.feedback import add_feedback, feedback_to, read_feedback


@flow
def any_flow() -> None:
    """A flow of which only the runs count."""


@pytest.mark.usefixtures("stack")
def test_feedback_of_several_people_at_once_is_kept() -> None:
    with get_client(sync_client=True) as prefect:
        flow_run = prefect.create_flow_run(any_flow, state=Failed())
        add_feedback(prefect, flow_run.id, "first")
        texts = [f"text {number}" for number in range(6)]

        def add(text: str) -> None:
            with get_client(sync_client=True) as own:
                add_feedback(own, flow_run.id, text)

        with ThreadPoolExecutor(len(texts)) as threads:
            list(threads.map(add, texts))
        add_feedback(prefect, flow_run.id, "last\x00 é\n```")
        first, *middle, last = read_feedback(prefect, flow_run.id)
        assert (first, sorted(middle), last) == ("first", texts, "last é\n```")
        assert feedback_to(str(flow_run.id)) == [first, *middle, last]
        assert feedback_to(str(uuid4())) == [], "the server no longer has the run whose change is delivered"

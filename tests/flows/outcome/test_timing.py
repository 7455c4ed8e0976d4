"""The timing of steps, with several steps at the same time."""

from typing import Any

from prefect.utilities.collections import visit_collection

from flows.outcome.timing import record_steps, timed


def test_a_step_can_begin_while_prefect_visits_the_arguments_of_another() -> None:
    steps = record_steps()
    with timed("first"):
        pass

    def begin_another(argument: Any) -> None:  # noqa: ANN401 (Prefect visits values of any type)
        with timed(f"another, begun at {argument!r}"):
            pass

    visit_collection({"steps": steps}, begin_another, return_data=False)
    assert len(steps.all()) > 2


def test_attempts_of_a_step_add_up() -> None:
    steps = record_steps()
    for _ in range(2):
        with timed("first"):
            [running] = steps.all()
            assert running.state in {"Running", "Completed"}
    with timed("second"):
        pass
    assert [(step.name, step.state, step.attempts) for step in steps.all()] == [
        ("first", "Completed", 2),
        ("second", "Completed", 1),
    ]

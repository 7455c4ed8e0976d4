"""Turns functions into steps: Prefect tasks that are retried, raise only `RunError`s and store no data."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE

from flows.errors import RunError, named_error
from flows.outcome.timing import timed

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun

RETRIES: Final = 3
RETRY_DELAYS_SECONDS: Final = [2.0, 8.0, 30.0]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def step(name: str) -> Callable[[Callable[_Parameters, _Result]], Task[_Parameters, _Result]]:
    """Return a decorator that turns a function into the run's step `name`, as a Prefect task."""

    def decorate(function: Callable[_Parameters, _Result]) -> Task[_Parameters, _Result]:
        return Task(
            _with_named_errors(name, function),
            name=name,
            task_run_name=name,  # without the suffix that Prefect adds, because a run has each step only once
            retries=RETRIES,
            retry_delay_seconds=RETRY_DELAYS_SECONDS,
            retry_jitter_factor=0.5,
            retry_condition_fn=is_retryable,
            # No input may become a cache key, and no result a file, because both can contain credentials.
            cache_policy=NO_CACHE,
            persist_result=False,
        )

    return decorate


def _with_named_errors(name: str, function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Return a function that does the same as `function`, but raises only `RunError`s.

    The text of a `RunError` is redacted before Prefect stores it.
    """

    @wraps(function)
    def call(*args: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
        try:
            with timed(name):
                return function(*args, **options)
        except RunError:
            raise
        except Exception as error:
            raise named_error(error) from error

    return call


def is_retryable(task: "Task[..., Any]", task_run: "TaskRun", state: "State[Any]") -> bool:
    """Return whether Prefect retries a task: only if its error is a retryable `RunError`."""
    del task, task_run
    return isinstance(state.data, RunError) and state.data.retryable

"""Every named error survives the way from one process to another, and says what it means."""

import inspect
import pickle

import pytest

from flows import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
RETRYABLE = {
    errors.AgentCrashed,
    errors.AgentStalled,
    errors.InstructionsUnavailable,
    errors.ModelUnavailable,
    errors.RemoteUnavailable,
    errors.SecretUnavailable,
}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_keeps_its_class_message_and_retryable_when_pickled(kind: type[errors.RunError]) -> None:
    back = pickle.loads(pickle.dumps(kind("repo_url 'é' is wrong:\nfix it")))  # noqa: S301 (made here)
    assert type(back) is kind
    assert str(back) == "repo_url 'é' is wrong:\nfix it"
    assert back.retryable is (kind in RETRYABLE)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_says_in_its_docstring_what_it_means(kind: type[errors.RunError]) -> None:
    assert issubclass(kind, errors.RunError)
    said = kind.__dict__.get("__doc__") or ""
    assert len(said.split()) >= 4
    assert said.endswith(".")


def test_no_two_errors_say_the_same() -> None:
    assert len({kind.__doc__ for kind in CLASSES}) == len(CLASSES) > 30

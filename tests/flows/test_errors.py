"""Every named error can be passed from one process to another, and has a docstring that explains it."""

import inspect
import pickle

import pytest

from flows import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
RETRYABLE = {
    errors.AgentCrashed,
    errors.AgentStalled,
    errors.ForgeUnavailable,
    errors.InstructionsUnavailable,
    errors.LfsUnavailable,
    errors.ModelUnavailable,
    errors.RemoteUnavailable,
    errors.SecretUnavailable,
}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_keeps_its_class_message_and_retryable_when_pickled(kind: type[errors.RunError]) -> None:
    unpickled = pickle.loads(pickle.dumps(kind("repo_url 'é' is wrong:\nfix it")))  # noqa: S301 (pickled here)
    assert type(unpickled) is kind
    assert str(unpickled) == "repo_url 'é' is wrong:\nfix it"
    assert unpickled.retryable is (kind in RETRYABLE)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_docstring_of_an_error_is_a_sentence(kind: type[errors.RunError]) -> None:
    assert issubclass(kind, errors.RunError)
    docstring = kind.__dict__.get("__doc__") or ""
    assert len(docstring.split()) >= 4
    assert docstring.endswith(".")


def test_no_two_errors_have_the_same_docstring() -> None:
    assert len({kind.__doc__ for kind in CLASSES}) == len(CLASSES) > 30

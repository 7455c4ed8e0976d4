"""The engine, for all tests of the image."""

import pytest

from tests.image.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that `make test-image` found."""
    return Engine.from_environment()

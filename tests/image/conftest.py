"""The container engine, for all tests of the image."""

import pytest

from tests.support.container_engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The container engine that `make test-image` names."""
    return Engine.from_environment()

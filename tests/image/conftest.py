"""The container engine, for all tests of the images."""

import os

import pytest

from tests.support.container_engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The container engine that `make test-image` names, with the full image."""
    return Engine.from_environment()


@pytest.fixture(scope="session")
def slim(engine: Engine) -> Engine:
    """The same engine with the slim image."""
    return engine.with_image(os.environ["SLIM_IMAGE"])

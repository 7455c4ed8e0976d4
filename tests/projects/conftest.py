"""The container engine, for the tests on real projects."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.container_engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """The container engine, with a folder that all containers of a test share, and with this host's CA certificates."""
    engine = Engine.from_environment()
    store = tmp_path / "store"
    store.mkdir()
    volumes = [f"--volume={store}:/store", "--env=PREFECT_LOCAL_STORAGE_PATH=/store"]
    if certificates := os.environ.get("SSL_CERT_FILE"):
        volumes += [f"--volume={certificates}:/ca.pem:ro", "--env=SSL_CERT_FILE=/ca.pem"]
    return replace(engine, flags=(*engine.flags, *volumes))

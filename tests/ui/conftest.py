"""The deployment, served as on a team's machine, and a browser for Prefect's UI."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.served import Server, served
from deployments.local.stack import LocalStack
from tests.ui.browser import PrefectPages, new_page

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server(stack: LocalStack) -> Iterator[Server]:
    """The process that serves `implement/local`."""
    (stack.home / "tmp").mkdir(mode=0o711)
    environment = {
        **os.environ,
        **stack.environment(),
        "PYTHONPATH": str(PROJECT),
        "TMPDIR": str(stack.home / "tmp"),
    }
    with served(environment) as new_server:
        yield new_server


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for screenshots; `make screenshots` sets it and copies some into the documentation."""
    folder = os.environ.get("SCREENSHOTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("screenshots")


@pytest.fixture
def pages(stack: LocalStack, server: Server, pictures: Path) -> Iterator[PrefectPages]:
    """Prefect's UI in a browser window."""
    server.check()
    with new_page() as page:
        yield PrefectPages(page, stack.prefect_api_url.removesuffix("/api"), pictures)

"""The deployment, served as a team's machine serves it, and a browser before it."""

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
    """What serves `implement/local`."""
    (stack.home / "tmp").mkdir(mode=0o711)
    environment = {
        **os.environ,
        **stack.environment(),
        "PYTHONPATH": str(PROJECT),
        "TMPDIR": str(stack.home / "tmp"),
    }
    with served(environment) as made:
        yield made


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: to the documentation by `make screenshots`, elsewhere otherwise."""
    asked = os.environ.get("SCREENSHOTS")
    return Path(asked) if asked else tmp_path_factory.mktemp("screenshots")


@pytest.fixture
def pages(stack: LocalStack, server: Server, pictures: Path) -> Iterator[PrefectPages]:
    """Prefect's UI in a window."""
    server.check()
    with new_page() as page:
        yield PrefectPages(page, stack.prefect_api_url.removesuffix("/api"), pictures)

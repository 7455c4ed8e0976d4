"""Opens a stand-in for a test, and checks at its end that every request kept the contract."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from deployments.local.loopback import Exchange, ReceivedRequest
from deployments.local.stack import GIT_TOKEN
from flows.forges.api.base import ForgeApi
from flows.forges.reviews.base import ReviewApi
from tests.support.forges.stand_in import TOKEN, ForgeStandIn
from tests.support.forges.stand_ins import open_stand_in, open_stand_in_reviews
from tests.support.world import World


@contextmanager
def serve(kind: type[ForgeStandIn], token: str = TOKEN) -> Iterator[tuple[ForgeStandIn, ForgeApi]]:
    """Serve a stand-in, and open its client."""
    with kind(token) as forge, open_stand_in(forge) as api:
        yield forge, api
        forge.check_contract()


@contextmanager
def serve_with_git(kind: type[ForgeStandIn], world: World, token: str = GIT_TOKEN) -> Iterator[ForgeStandIn]:
    """Serve a stand-in that also answers git, with the repository of a test's runs."""

    def answer_git(path: str, request: ReceivedRequest, exchange: Exchange) -> None:
        world.stack.git.answer(replace(request, path=f"/{world.name}.git{path}"), exchange)

    with kind(token) as forge:
        forge.answer_git = answer_git
        yield forge
        forge.check_contract()


def parameters_for(forge: ForgeStandIn, pull_request: str = "ready", **others: Any) -> dict[str, Any]:  # noqa: ANN401 (of any type)
    """Return the parameters of a run that pushes the branch `work`, and opens a pull request on a stand-in."""
    return {
        "repo_url": forge.repo_url,
        "forge": forge.name,
        "forge_api_url": forge.api_url,
        "branch_name": "work",
        "pull_request": {"pull_request": pull_request, **others},
    }


def issue_url(forge: ForgeStandIn, number: int = 12, repository: str = "acme/widgets") -> str:
    """Return the address of an issue's page on a stand-in."""
    paths = {
        "gitlab": f"/gitlab/acme/sub/widgets/-/issues/{number}",
        "azure": f"/acme/My%20Project/_workitems/edit/{number}",
    }
    return f"{forge.url}{paths.get(forge.name, f'/{repository}/issues/{number}')}"


@contextmanager
def serve_reviews(
    kind: type[ForgeStandIn], token: str = TOKEN, *, max_items: int = 1_000
) -> Iterator[tuple[ForgeStandIn, ReviewApi]]:
    """Serve a stand-in with the open pull request 1, and open its client for reviews, which asks for pages of two."""
    with kind(token) as forge, open_stand_in_reviews(forge, max_items=max_items) as api:
        forge.add("a title", "a body", "work", "main")
        yield forge, api
        forge.check_contract()

"""Lists the stand-ins of all forges, and opens their clients."""

from typing import Final

from pydantic import SecretStr

from flows.forges.api.base import ForgeApi
from flows.forges.api.table import open_api, repository_of
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.table import REVIEW_APIS
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.gitlab import GitLabStandIn
from tests.support.forges.stand_in import EMAIL, ForgeStandIn

STAND_INS: Final[tuple[type[ForgeStandIn], ...]] = (
    GitHubStandIn,
    GitLabStandIn,
    GiteaStandIn,
    BitbucketStandIn,
    AzureStandIn,
)


def open_stand_in(forge: ForgeStandIn, token: str = "") -> ForgeApi:
    """Return the client of a stand-in."""
    return open_api(
        forge.repo_url, SecretStr(token or forge.token), EMAIL, forge=forge.name, forge_api_url=forge.api_url
    )


def open_stand_in_reviews(
    forge: ForgeStandIn, token: str = "", *, page_size: int = 2, max_items: int = 1_000
) -> ReviewApi:
    """Return the client for the reviews of a stand-in. It asks for pages of two."""
    secret = SecretStr(token or forge.token)
    repository = repository_of(forge.repo_url, secret, EMAIL, forge.name, forge.api_url, ())
    return REVIEW_APIS[forge.name](repository, page_size=page_size, max_items=max_items)

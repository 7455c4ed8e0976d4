"""Lists the stand-ins of all forges, and opens their clients."""

from typing import Final

from pydantic import SecretStr

from flows.forges.api.base import ForgeApi
from flows.forges.api.table import open_api
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

"""Opens the client for reviews and issues that a repository's forge has."""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import SecretStr

from flows.forges.api.table import repository_of
from flows.forges.reviews.azure import AzureDevOpsReviews
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.bitbucket import BitbucketReviews
from flows.forges.reviews.gitea import GiteaReviews
from flows.forges.reviews.github import GitHubReviews
from flows.forges.reviews.gitlab import GitLabReviews

REVIEW_APIS: Final[Mapping[str, type[ReviewApi]]] = {
    "github": GitHubReviews,
    "gitlab": GitLabReviews,
    "bitbucket": BitbucketReviews,
    "gitea": GiteaReviews,
    "azure": AzureDevOpsReviews,
}
"""The clients, by the name of the forge."""


def open_reviews(
    url: str,
    token: SecretStr,
    email: str = "",
    *,
    forge: str = "",
    forge_api_url: str = "",
    allowed_api_urls: Sequence[str] = (),
) -> ReviewApi:
    """Return the client for a repository. Use it in a `with` statement. The arguments are those of `open_api`.

    Raises:
        InvalidForgeApiUrl: The forge is unknown or has no known API, or the token may not go to `forge_api_url`.
    """
    repository = repository_of(url, token, email, forge, forge_api_url, allowed_api_urls)
    return REVIEW_APIS[repository.forge.name](repository)

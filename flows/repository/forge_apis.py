"""Opens the clients of the API that a run's forge has, with the run's git credentials."""

from flows.forges.api.base import ForgeApi, Repository
from flows.forges.api.table import APIS, repository_of
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.table import REVIEW_APIS
from flows.parameters.implement import ImplementParameters
from flows.repository.credentials import GitCredentials


def open_forge_api(request: ImplementParameters, credentials: GitCredentials) -> ForgeApi:
    """Return the client for pull requests. Use it in a `with` statement.

    Raises:
        InvalidForgeApiUrl: The forge is unknown or has no known API, or the token may not go to `forge_api_url`.
    """
    repository = _repository(request, credentials)
    return APIS[repository.forge.name](repository)


def open_review_api(request: ImplementParameters, credentials: GitCredentials) -> ReviewApi:
    """Return the client for reviews and issues. Use it in a `with` statement.

    Raises:
        InvalidForgeApiUrl: See `open_forge_api`.
    """
    repository = _repository(request, credentials)
    return REVIEW_APIS[repository.forge.name](repository)


def _repository(request: ImplementParameters, credentials: GitCredentials) -> Repository:
    return repository_of(
        request.repo_url.url,
        credentials.token,
        credentials.email,
        request.forge,
        request.forge_api_url,
        credentials.api_urls,
    )

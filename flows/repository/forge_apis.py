"""Opens the clients of the API that a run's forge has, with the run's git credentials."""

from flows.errors import RepositoryNotAllowed
from flows.forges.api.base import ForgeApi, Repository
from flows.forges.api.table import APIS, repository_of
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.table import REVIEW_APIS
from flows.forges.table import page_of
from flows.parameters.addresses import RepoUrl
from flows.parameters.implement import ImplementParameters
from flows.repository.credentials import GitCredentials


def open_forge_api(request: ImplementParameters, credentials: GitCredentials) -> ForgeApi:
    """Return the client for pull requests. Use it in a `with` statement.

    Raises:
        InvalidForgeApiUrl: The forge is unknown or has no known API, or the token may not go to `forge_api_url`.
    """
    repository = _repository(request, credentials, request.repo_url)
    return APIS[repository.forge.name](repository)


def open_review_api(request: ImplementParameters, credentials: GitCredentials) -> ReviewApi:
    """Return the client for reviews and issues. Use it in a `with` statement.

    Raises:
        InvalidForgeApiUrl: See `open_forge_api`.
    """
    repository = _repository(request, credentials, request.repo_url)
    return REVIEW_APIS[repository.forge.name](repository)


def open_issue_api(request: ImplementParameters, credentials: GitCredentials, address: str) -> ReviewApi:
    """Return the client for the issues of a repository on the server of the run's own one.

    Raises:
        RepositoryNotAllowed: The token must not be used for the repository.
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, InvalidGitSecret: See `GitHubApp.token`.
    """
    if page_of(address) == page_of(request.repo_url.url):
        return open_review_api(request, credentials)
    url = RepoUrl.parse(address)
    credentials.check_repository(url)
    if not credentials.reaches(url, request.repo_url):
        raise RepositoryNotAllowed(
            f"the issue is in {url}, and the git token is used for {request.repo_url} and for repositories beside it: "
            "add the other one to the repositories of the git secret or block, or copy the text of the issue into the "
            "instructions"
        )
    repository = _repository(request, credentials.for_repository(url, request.forge, request.forge_api_url), url)
    return REVIEW_APIS[repository.forge.name](repository)


def _repository(request: ImplementParameters, credentials: GitCredentials, url: RepoUrl) -> Repository:
    return repository_of(
        url.url,
        credentials.token,
        credentials.email,
        request.forge,
        request.forge_api_url,
        credentials.api_urls,
    )

"""The step `secret`: reads the git token and e-mail address from AWS Secrets Manager or a block, into memory only."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prefect import get_run_logger
from pydantic import SecretStr

from flows.aws.credentials import new_session
from flows.errors import BlockNotFound, InvalidBlock, InvalidGitSecret, RepositoryNotAllowed, RunError
from flows.parameters.implement import ImplementParameters
from flows.parameters.mcp_servers import MCP_SERVERS, mcp_config
from flows.redaction import SECRETS
from flows.repository.credentials import UNBOUND, GitCredentials
from flows.run.run import DeliverRun, ImplementRun, Run
from flows.tasks.task import step

if TYPE_CHECKING:
    from blocks.git_credentials import GitCredentials as GitCredentialsBlock


@step("secret")
def read_credentials(run: Run) -> GitCredentials:
    """Return the git credentials.

    Raises:
        RepositoryNotAllowed: The credentials may not be used for the run's repository.
        InvalidForgeApiUrl: The run needs the API of the forge, and the token must not go there.
        InvalidBlock: The Claude Code block would give the git token to the agent.
    """
    credentials = current_credentials(run.request)
    if run.request.pull_request.is_wanted or run.request.issue:
        run.request.check_forge(credentials.api_urls)
    if isinstance(run, ImplementRun):
        servers = SecretStr(mcp_config(run.agent.mcp_servers).decode())
        check_agent_lacks(credentials, {**run.agent.secrets, MCP_SERVERS: servers})
    if isinstance(run, DeliverRun):
        check_agent_lacks(credentials, run.secrets)
    if not credentials.is_bound:
        get_run_logger().warning(UNBOUND)
        run.warnings.append(UNBOUND)
    return credentials


def check_agent_lacks(credentials: GitCredentials, secrets: Mapping[str, SecretStr]) -> None:
    """Raise `InvalidBlock` if one of the secrets that the agent gets from its block contains the git token."""
    own = [credentials.token, *([credentials.app.private_key] if credentials.app else [])]
    for name, value in secrets.items():
        if any(secret.get_secret_value() in value.get_secret_value() for secret in own):
            raise InvalidBlock(
                f"the Claude Code block: the value of {name} contains the run's git token, which the agent must not "
                "get: give it a token of its own that can do less"
            )


def current_credentials(request: ImplementParameters) -> GitCredentials:
    """Return the git credentials that are in the secret or block now; raise the same errors as `read_credentials`."""
    return credentials_for(request, stored_credentials(request))


def stored_credentials(request: ImplementParameters) -> GitCredentials:
    """Return the credentials in the secret or block. If they are a GitHub App, they have no token yet."""
    region = request.aws_region
    if name := request.git_credentials_block:
        return load_git_credentials(name).resolve(region)
    return GitCredentials.from_secret(request.git_credentials_secret_id, new_session(region), region)


def credentials_for(request: ImplementParameters, stored: GitCredentials) -> GitCredentials:
    """Return the credentials for the run's repository. A GitHub App is asked for a token for this repository.

    Raises:
        RepositoryNotAllowed: The credentials may not be used for the repository.
        InvalidForgeApiUrl: A GitHub App must not be used at the address of the API.
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable: See `GitHubApp.token`.
    """
    SECRETS.learn("the git token", stored.token.get_secret_value())
    stored.check_repository(request.repo_url)
    return stored.for_repository(request.repo_url, request.forge, request.forge_api_url)


def newest_credentials(run: Run, credentials: GitCredentials) -> GitCredentials:
    """Read the credentials again, and return them: the token may have been renewed while the agent worked.

    If the credentials cannot be read, return the earlier ones.

    Raises:
        RepositoryNotAllowed: The secret no longer allows the token to be used for the run's repository.
        RunError: The earlier token, which a GitHub App has made, has ended, and there is no new one.
    """
    logger = get_run_logger()
    try:
        newest = current_credentials(run.request)
    except RepositoryNotAllowed:
        raise
    except RunError as error:
        if credentials.is_expired:
            raise
        logger.warning("the git secret could not be read again, so the earlier token is used: %s", error)
        return credentials
    if newest.token != credentials.token and not newest.app:
        logger.info("the git token was renewed while the agent worked: the new one is used")
    return newest


def load_git_credentials(name: str) -> "GitCredentialsBlock":
    """Return the Git Credentials block with this name.

    Raises:
        BlockNotFound: The block does not exist.
        InvalidGitSecret: The block is damaged.
    """
    from blocks.git_credentials import GitCredentials as Block  # noqa: PLC0415 (its import takes a second)

    try:
        return Block.load(name)  # type: ignore[return-value]
    except ValueError:
        raise BlockNotFound(
            f"there is no Git Credentials block {name!r}: create it in Prefect's UI under Blocks"
        ) from None
    except RuntimeError:  # its message quotes the block's fields
        raise InvalidGitSecret(
            f"the Git Credentials block {name!r} contains values of other types than its form asks for: save it again "
            "in Prefect's UI under Blocks"
        ) from None

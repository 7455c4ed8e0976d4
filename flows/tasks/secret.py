"""secret: the git token and e-mail, from AWS Secrets Manager or a block, into memory and nowhere else."""

from typing import TYPE_CHECKING

from flows.aws.session import new_session
from flows.errors import BlockNotFound
from flows.parameters.implement import ImplementParameters
from flows.redaction import SECRETS
from flows.repository.credentials import GitCredentials
from flows.tasks.task import step

if TYPE_CHECKING:
    from blocks.git_credentials import GitCredentials as GitCredentialsBlock


@step("secret")
def read_secret(request: ImplementParameters) -> GitCredentials:
    """Return the credentials for the repository."""
    region = request.aws_region
    if name := request.git_credentials_block:
        credentials = load_git_credentials(name).resolve(region)
    else:
        credentials = GitCredentials.from_secret(request.git_credentials_secret_id, new_session(region), region)
    SECRETS.learn("the git token", credentials.token.get_secret_value())
    return credentials


def load_git_credentials(name: str) -> "GitCredentialsBlock":
    """Load the block document; raise `BlockNotFound` where there is none."""
    from blocks.git_credentials import GitCredentials as Block  # noqa: PLC0415 (its import takes a second)

    try:
        return Block.load(name)  # type: ignore[return-value]
    except ValueError:
        raise BlockNotFound(
            f"there is no Git Credentials block {name!r}: make it in Prefect's UI under Blocks"
        ) from None

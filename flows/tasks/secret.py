"""secret: the git token and e-mail, from AWS Secrets Manager or a block, into memory and nowhere else."""

from blocks.git_credentials import GitCredentials
from flows.errors import BlockNotFound
from flows.parameters import Request
from flows.redaction import SECRETS
from flows.tasks.policy import step


@step("secret")
def read_secret(request: Request) -> GitCredentials:
    """Return the credentials for the repository."""
    block = GitCredentials(secret_id=request.git_credentials_secret_id)
    if name := request.git_credentials_block:
        block = load_git_credentials(name)
    credentials = block.resolve(request.aws_region)
    if credentials.token:
        SECRETS.learn("the git token", credentials.token.get_secret_value())
    return credentials


def load_git_credentials(name: str) -> GitCredentials:
    """Load the block document; raise `BlockNotFound` where there is none."""
    try:
        return GitCredentials.load(name)  # type: ignore[return-value]
    except ValueError:
        raise BlockNotFound(
            f"there is no Git Credentials block {name!r}: make it in Prefect's UI under Blocks"
        ) from None

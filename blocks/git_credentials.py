"""The git token and e-mail, as a Prefect block: kept in the block, or in AWS Secrets Manager."""

from dataclasses import replace

from prefect.blocks.abstract import CredentialsBlock
from prefect_aws import AwsCredentials
from pydantic import Field, SecretStr

from flows.aws.credentials import block_session
from flows.repository.binding import Binding
from flows.repository.credentials import GitCredentials as Resolved


class GitCredentials(CredentialsBlock):
    """A git token, with the e-mail that commits are signed with; or the AWS secret that holds both.

    Example:
        ```python
        from blocks import GitCredentials

        GitCredentials(secret_id="claude-headless/git-credentials").save("team-bot")
        ```
    """

    _block_type_name = "Git Credentials"
    _block_type_slug = "git-credentials"
    _logo_url = "https://cdn.simpleicons.org/git"  # type: ignore[assignment]
    _documentation_url = "https://git-scm.com/docs/gitcredentials"  # type: ignore[assignment]

    token: SecretStr | None = Field(
        default=None, title="Token", description="An access token that may read and write the repository."
    )
    email: str = Field(default="", title="E-mail", description="The author of the commits.")
    username: str = Field(
        default="",
        title="User name",
        description="The user name that git sends with the token. Leave it empty: the repository's host decides it.",
    )
    secret_id: str = Field(
        default="",
        title="AWS secret",
        description='In place of a token here: name or ARN of a secret that holds {"token": …, "email": …}.',
    )
    hosts: list[str] | None = Field(
        default=None,
        title="Hosts",
        description="The only hosts that the token is sent to, such as github.com or git.example.com:8443.",
    )
    repositories: list[str] | None = Field(
        default=None,
        title="Repositories",
        description="The only repositories that the token is for, such as https://github.com/your-org/*.",
    )
    aws_credentials: AwsCredentials | None = Field(
        default=None, title="AWS credentials", description="For the AWS secret. Empty: the role or keys of the process."
    )

    def resolve(self, region: str) -> Resolved:
        """Return the token itself with its e-mail, read from AWS where this block names a secret.

        Raises:
            SecretNotFound, SecretAccessDenied, SecretUnavailable: What AWS says.
            InvalidGitSecret: There is no usable token or e-mail in it, or a list of hosts or repositories is malformed.
        """
        where = "the git credentials block"
        lists = {"hosts": self.hosts, "repositories": self.repositories}
        binding = {name: entries for name, entries in lists.items() if entries is not None}
        if self.secret_id:
            own = Binding.parse(binding, where)
            keys = self.aws_credentials or AwsCredentials(region_name=region)
            session = block_session(keys, where)
            stored = Resolved.from_secret(self.secret_id, session, keys.region_name or region, self.username)
            return replace(stored, bindings=(*stored.bindings, own))
        token = self.token.get_secret_value() if self.token else ""
        fields = {"token": token, "email": self.email, "username": self.username, **binding}
        return Resolved.checked(fields, where)

    def get_client(self) -> None:
        """Not offered: the token is for git alone."""
        raise NotImplementedError("git is the client; use resolve()")

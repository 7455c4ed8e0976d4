"""A Prefect block that stores a git token and an e-mail address, or the name of an AWS secret that contains both."""

from dataclasses import replace

from prefect.blocks.abstract import CredentialsBlock
from prefect_aws import AwsCredentials
from pydantic import Field, SecretStr

from flows.aws.credentials import block_session
from flows.forges.github_app import APP_ID, INSTALLATION_ID, PRIVATE_KEY
from flows.repository.binding import Binding
from flows.repository.credentials import GitCredentials as Resolved
from flows.repository.secret_fields import API_URLS


class GitCredentials(CredentialsBlock):
    """A git token and the e-mail address of the commits' author, or the name of an AWS secret that contains both.

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
        default=None, title="Token", description="Access token that may read and write the repository."
    )
    email: str = Field(default="", title="E-mail", description="E-mail address of the commits' author.")
    username: str = Field(
        default="",
        title="User name",
        description="User name that git sends with the token. Leave it empty to use the default of the git host.",
    )
    app_id: str = Field(
        default="",
        title="GitHub App",
        description="App ID or client ID of a GitHub App, instead of a token. A run gets a token of the App for its "
        "repository alone. The e-mail is then optional.",
    )
    private_key: SecretStr | None = Field(
        default=None,
        title="Private key of the GitHub App",
        description="Whole text of the .pem file that GitHub made for the App.",
    )
    installation_id: str = Field(
        default="",
        title="Installation of the GitHub App",
        description="Number of the App's installation. Leave it empty to let the run ask GitHub.",
    )
    secret_id: str = Field(
        default="",
        title="AWS secret",
        description='Name or ARN of an AWS secret that contains {"token": …, "email": …}, instead of a token in this '
        "block.",
    )
    hosts: list[str] | None = Field(
        default=None,
        title="Hosts",
        description="Hosts that the token may be sent to, such as github.com or git.example.com:8443. If no hosts are "
        "set, the token may be sent to any host.",
    )
    repositories: list[str] | None = Field(
        default=None,
        title="Repositories",
        description="Repositories that the token may be used for, such as https://github.com/your-org/*. If no "
        "repositories are set, the token may be used for any repository.",
    )
    forge_api_urls: list[str] | None = Field(
        default=None,
        title="Addresses of APIs",
        description="Addresses of the git hosts' APIs that a run may name in forge_api_url and send the token to, "
        "although they are on another server than the repository.",
    )
    aws_credentials: AwsCredentials | None = Field(
        default=None,
        title="AWS credentials",
        description="AWS credentials that may read the AWS secret. Leave them empty to use the role or keys of the "
        "flow's process.",
    )

    def resolve(self, region: str) -> Resolved:
        """Return the token and the e-mail address. If this block names an AWS secret, both are read from the secret.

        Raises:
            SecretNotFound, SecretAccessDenied, SecretUnavailable: AWS does not return the secret.
            InvalidGitSecret: The token, the e-mail address or a list of hosts or repositories is missing or malformed.
        """
        source = "the git credentials block"
        lists = {"hosts": self.hosts, "repositories": self.repositories}
        binding = {name: entries for name, entries in lists.items() if entries is not None}
        if self.secret_id:
            block_binding = Binding.parse(binding, source)
            keys = self.aws_credentials or AwsCredentials(region_name=region)
            session = block_session(keys, source)
            stored = Resolved.from_secret(self.secret_id, session, keys.region_name or region, self.username)
            api_urls = (*stored.api_urls, *Resolved.addresses(self.forge_api_urls or [], source))
            return replace(stored, bindings=(*stored.bindings, block_binding), api_urls=api_urls)
        token = self.token.get_secret_value() if self.token else ""
        fields = {"token": token, "email": self.email, "username": self.username, **binding, **self._app()}
        return Resolved.from_fields(fields, source)

    def _app(self) -> dict[str, object]:
        """Return the fields that are filled in of the GitHub App, and the addresses of APIs."""
        key = self.private_key.get_secret_value() if self.private_key else ""
        app = {APP_ID: self.app_id, PRIVATE_KEY: key, INSTALLATION_ID: self.installation_id}
        filled = {name: value for name, value in app.items() if value}
        return {**filled, API_URLS: self.forge_api_urls} if self.forge_api_urls else dict(filled)

    def get_client(self) -> None:
        """Raise `NotImplementedError`: this block has no client object."""
        raise NotImplementedError("the Git Credentials block has no client object: call resolve()")

"""Defines Bitbucket Cloud as a forge."""

from typing import Final
from urllib.parse import quote, urlsplit

from flows.forges.base import Forge, Links, PushedCommit

API_TOKEN_PREFIX: Final = "ATAT"  # noqa: S105 (how the API tokens of Atlassian accounts begin)


class Bitbucket(Forge):
    """Bitbucket Cloud accepts an access token only with the user name `x-token-auth`, and an API token with another.

    https://support.atlassian.com/bitbucket-cloud/docs/using-access-tokens/
    https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/
    """

    name = "bitbucket"
    hosts = r"bitbucket\.org"
    git_username = "x-token-auth"

    def git_username_for(self, token: str) -> str:
        """Return the user name for an access token, or for a person's API token."""
        return "x-bitbucket-api-token-auth" if token.startswith(API_TOKEN_PREFIX) else self.git_username

    def api_url(self, page: str) -> str:
        """Return the root of the REST API; empty for another host, whose token must not go to Bitbucket Cloud."""
        return "https://api.bitbucket.org/2.0" if urlsplit(page).hostname == "bitbucket.org" else ""

    def pull_request_page(self, page: str, number: int) -> str:
        """Return the address of a pull request's page."""
        return f"{page}/pull-requests/{number}"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of Bitbucket's web pages for a pushed commit."""
        branch = quote(pushed.branch, safe="")
        target = f"&dest={quote(pushed.base, safe='')}" if pushed.base else ""
        return Links(
            page,
            f"{page}/branch/{quote(pushed.branch)}",
            f"{page}/commits/{pushed.commit}",
            f"{page}/branches/compare/{branch}%0D{quote(pushed.base, safe='')}" if pushed.base else "",
            f"{page}/pull-requests/new?source={branch}{target}",
        )

"""Defines GitHub as a forge: github.com, GitHub Enterprise Cloud with data residency, and GitHub Enterprise Server."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from flows.forges.base import Forge, Links, PushedCommit


class GitHub(Forge):
    """GitHub accepts any git user name with a token; for the token of an App, it documents `x-access-token`."""

    name = "github"
    hosts = r"github\.com|github\..+|.+\.ghe\.com"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of GitHub's web pages for a pushed commit."""
        branch = quote(pushed.branch)
        between = f"{quote(pushed.base)}...{branch}" if pushed.base else branch
        return Links(
            page,
            f"{page}/tree/{branch}",
            f"{page}/commit/{pushed.commit}",
            f"{page}/compare/{between}",
            f"{page}/compare/{between}?expand=1",
        )

    def api_url(self, page: str) -> str:
        """Return the root of the REST API. Only GitHub Enterprise Server has it below its own host name."""
        scheme, address = urlsplit(page)[:2]
        host = address.lower().removesuffix(":443").removesuffix(".")
        if host == "github.com" or host.endswith(".ghe.com"):
            return f"https://api.{host}"
        return f"{scheme}://{address}/api/v3"

    def pull_request_page(self, page: str, number: int) -> str:
        """Return the address of a pull request's page."""
        return f"{page}/pull/{number}"

    def expiry_url(self, page: str) -> str:
        """Return the root of the REST API, because every response of the API has a header with the token's expiry."""
        return f"{self.api_url(page)}/"

    def expiry(self, headers: Mapping[str, str], body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return the time in GitHub's expiry header, such as `2026-12-01 10:00:00 +0000`; empty without that header."""
        del body
        return headers.get("github-authentication-token-expiration", "").replace("UTC", "+0000")

"""Defines Gitea and Forgejo as one forge; codeberg.org is such a server."""

from urllib.parse import quote, urlsplit

from flows.forges.base import Forge, Links, PushedCommit


class Gitea(Forge):
    """Gitea and Forgejo have the same web pages, and accept any git user name with a token."""

    name = "gitea"
    hosts = r"codeberg\.org|(gitea|forgejo)\..+"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of Gitea's web pages for a pushed commit."""
        branch = quote(pushed.branch)
        compare = f"{page}/compare/{quote(pushed.base)}...{branch}" if pushed.base else ""
        return Links(page, f"{page}/src/branch/{branch}", f"{page}/commit/{pushed.commit}", compare, compare)

    def api_url(self, page: str) -> str:
        """Return the root of the REST API. An installation below a path needs `forge_api_url`."""
        scheme, host = urlsplit(page)[:2]
        return f"{scheme}://{host}/api/v1"

    def pull_request_page(self, page: str, number: int) -> str:
        """Return the address of a pull request's page."""
        return f"{page}/pulls/{number}"

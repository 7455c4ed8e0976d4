"""Defines Bitbucket Cloud as a forge."""

from urllib.parse import quote

from flows.forges.base import Forge, Links, PushedCommit


class Bitbucket(Forge):
    """Bitbucket Cloud accepts an access token only with the user name `x-token-auth`.

    https://support.atlassian.com/bitbucket-cloud/docs/using-access-tokens/
    """

    hosts = r"bitbucket\.org"
    git_username = "x-token-auth"

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

"""GitHub: github.com, GitHub Enterprise Cloud with data residency, and GitHub Enterprise Server."""

from urllib.parse import quote

from flows.forges.base import Forge, Links, PushedCommit


class GitHub(Forge):
    """GitHub accepts any user name with a token."""

    hosts = r"github\.com|github\..+|.+\.ghe\.com"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the pages of a pushed commit."""
        branch = quote(pushed.branch)
        between = f"{quote(pushed.base)}...{branch}" if pushed.base else branch
        return Links(
            page,
            f"{page}/tree/{branch}",
            f"{page}/commit/{pushed.commit}",
            f"{page}/compare/{between}",
            f"{page}/compare/{between}?expand=1",
        )

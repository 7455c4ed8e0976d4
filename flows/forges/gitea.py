"""The forges Gitea and Forgejo, such as codeberg.org."""

from urllib.parse import quote

from flows.forges.base import Forge, Links, PushedCommit


class Gitea(Forge):
    """Gitea and Forgejo have the same pages, and accept any user name with a token."""

    hosts = r"codeberg\.org|(gitea|forgejo)\..+"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of the pages of a pushed commit."""
        branch = quote(pushed.branch)
        compare = f"{page}/compare/{quote(pushed.base)}...{branch}" if pushed.base else ""
        return Links(page, f"{page}/src/branch/{branch}", f"{page}/commit/{pushed.commit}", compare, compare)

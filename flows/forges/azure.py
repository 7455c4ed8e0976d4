"""Defines Azure DevOps as a forge: dev.azure.com, the older visualstudio.com, and Azure DevOps Server."""

from typing import Final
from urllib.parse import quote, urlsplit

from flows.forges.base import Forge, Links, PushedCommit

GIT: Final = "/_git/"
"""What separates the project from the repository in the path of each repository."""


class AzureDevOps(Forge):
    """Azure DevOps accepts any git user name with a token.

    The address of its API ends with the organisation, or with the collection of a server. Below it are the projects.
    """

    name = "azure"
    hosts = r"dev\.azure\.com|[a-z0-9-]+\.visualstudio\.com"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of Azure DevOps' web pages for a pushed commit."""
        branch = quote(pushed.branch, safe="")
        base = quote(pushed.base, safe="")
        return Links(
            page,
            f"{page}?version=GB{branch}",
            f"{page}/commit/{pushed.commit}",
            f"{page}/branchCompare?baseVersion=GB{base}&targetVersion=GB{branch}" if base else "",
            f"{page}/pullrequestcreate?sourceRef={branch}" + (f"&targetRef={base}" if base else ""),
        )

    def api_url(self, page: str) -> str:
        """Return the address of the organisation: a server's collection needs `forge_api_url`."""
        scheme, host, path = urlsplit(page)[:3]
        organisation = path.split("/")[1] if host == "dev.azure.com" else ""
        return f"{scheme}://{host}/{organisation}".rstrip("/")

    def pull_request_page(self, page: str, number: int) -> str:
        """Return the address of a pull request's page."""
        return f"{page}/pullrequest/{number}"

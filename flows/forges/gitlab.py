"""Defines GitLab as a forge: gitlab.com and self-managed installations."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from flows.forges.base import Forge, Links, PushedCommit


class GitLab(Forge):
    """GitLab accepts any git user name with most tokens, and asks for `oauth2` with those of OAuth."""

    name = "gitlab"
    hosts = r"gitlab\.com|gitlab\..+"
    git_username = "oauth2"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of GitLab's web pages for a pushed commit."""
        branch = quote(pushed.branch)
        target = f"&merge_request%5Btarget_branch%5D={quote(pushed.base, safe='')}" if pushed.base else ""
        return Links(
            page,
            f"{page}/-/tree/{branch}",
            f"{page}/-/commit/{pushed.commit}",
            f"{page}/-/compare/{quote(pushed.base)}...{branch}" if pushed.base else "",
            f"{page}/-/merge_requests/new?merge_request%5Bsource_branch%5D={quote(pushed.branch, safe='')}{target}",
            "merge request",
        )

    def api_url(self, page: str) -> str:
        """Return the root of the REST API. An installation below a path needs `forge_api_url`."""
        scheme, host = urlsplit(page)[:2]
        return f"{scheme}://{host}/api/v4"

    def pull_request_page(self, page: str, number: int) -> str:
        """Return the address of a merge request's page."""
        return f"{page}/-/merge_requests/{number}"

    def expiry_url(self, page: str) -> str:
        """Return the API's address for the token in use (https://docs.gitlab.com/api/personal_access_tokens/)."""
        return f"{self.api_url(page)}/personal_access_tokens/self"

    def expiry(self, headers: Mapping[str, str], body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return the date on which the token expires, at midnight UTC; empty if the response has no such date."""
        del headers
        return str(body.get("expires_at") or "") if isinstance(body, dict) else ""

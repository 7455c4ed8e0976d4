"""Defines AWS CodeCommit as a forge."""

from urllib.parse import quote, urlsplit

from flows.forges.base import Forge, Links, PushedCommit


class CodeCommit(Forge):
    """AWS CodeCommit. Its web pages are in the AWS console, and each of its git credentials has its own user name."""

    name = "codecommit"
    hosts = r"git-codecommit(-fips)?\.[a-z0-9-]+\.amazonaws\.com"

    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of CodeCommit's web pages for a pushed commit."""
        url = urlsplit(page)
        region, name = (url.hostname or "").split(".")[1], url.path.rpartition("/")[2]
        console = f"https://{region}.console.aws.amazon.com/codesuite/codecommit/repositories/{name}"
        query, branch = f"?region={region}", f"refs/heads/{quote(pushed.branch)}"
        between = f"refs/heads/{quote(pushed.base)}/.../{branch}{query}" if pushed.base else ""
        return Links(
            f"{console}/browse{query}",
            f"{console}/browse/{branch}{query}",
            f"{console}/commit/{pushed.commit}{query}",
            f"{console}/compare/{between}" if between else "",
            f"{console}/pull-requests/new/{between}" if between else "",
        )

"""Defines the base class of forges. A forge has host names, a git user name and addresses of pages. It does no I/O."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

DEFAULT_GIT_USERNAME: Final = "x-access-token"


@dataclass(frozen=True)
class Links:
    """Addresses of a forge's web pages. An address is empty if the forge has no such page, or does not document it."""

    repository: str
    branch: str = ""
    commit: str = ""
    compare: str = ""
    request: str = ""
    """The page on which a person can open a pull request for the branch."""
    request_name: str = "pull request"
    """What the forge calls a pull request."""


@dataclass(frozen=True)
class PushedCommit:
    """A pushed commit. `base` is the branch that the work started from; empty if it is the same as `branch`."""

    branch: str
    commit: str
    base: str = ""


class Forge(ABC):
    """A kind of git server, such as GitHub: its host names, its git user name, and the addresses of its web pages."""

    name: ClassVar[str]
    """The value of the parameter `forge` for this kind of git server."""
    hosts: ClassVar[str]
    """A regular expression for the forge's host names. It must match a whole host name."""
    git_username: ClassVar[str] = DEFAULT_GIT_USERNAME
    """The user name that the forge's git server expects with an access token."""

    def git_username_for(self, token: str) -> str:
        """Return the user name that the forge's git server expects with this kind of token."""
        del token
        return self.git_username

    @abstractmethod
    def links(self, page: str, pushed: PushedCommit) -> Links:
        """Return the addresses of the forge's web pages for a pushed commit.

        Args:
            page: The repository's URL without ".git".
            pushed: The commit, with its branch and base branch.
        """

    def api_url(self, page: str) -> str:
        """Return the address of the API of the forge that has this repository; empty if this project knows none.

        Only this address, and one that an operator configures, ever gets the token.

        Args:
            page: The repository's URL without ".git".
        """
        del page
        return ""

    def pull_request_page(self, page: str, number: int) -> str:
        """Return the address of a pull request's page; empty if the forge has no such page."""
        del page, number
        return ""

    def expiry_url(self, page: str) -> str:
        """Return the address in the forge's API that tells when the token expires; empty if there is no such address.

        Args:
            page: The repository's URL without ".git".
        """
        del page
        return ""

    def expiry(self, headers: Mapping[str, str], body: Any) -> str:  # noqa: ANN401 (JSON)
        """Return when the token expires, as a date or as a time with its zone; empty if the response does not tell."""
        del headers, body
        return ""

"""Marks titles as those of drafts, for forges that know a draft by the beginning of its title."""

import re
from dataclasses import dataclass
from typing import Final

_MARKS: Final = re.compile(r"\s*(?:draft:|wip:|\[(?:draft|wip)\]|\(draft\))\s*", re.IGNORECASE)
"""Matches the beginnings of titles that GitLab, Gitea and Forgejo take as marks of a draft."""


@dataclass(frozen=True)
class DraftMark:
    """The mark that one forge puts in front of the title of a draft."""

    text: str

    def mark(self, title: str, *, is_draft: bool) -> str:
        """Return the title with the mark if it is that of a draft, and otherwise without any."""
        title, _ = self.unmark(title)
        return f"{self.text}{title}" if is_draft else title

    @staticmethod
    def unmark(title: str) -> tuple[str, bool]:
        """Return the title without marks, and whether it had one."""
        plain = title
        while match := _MARKS.match(plain):
            plain = plain[match.end() :]
        return plain, plain != title

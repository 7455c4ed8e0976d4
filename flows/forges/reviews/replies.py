"""Writes comments for a forge, and recognises this program's own ones, so that an answer is given once.

The last line of each comment is a key: the run, and what the comment answers. A later attempt of the run finds a
comment by its key although the answer to the write was lost. The run's id is public, so the rest of the key is made
with a secret of the run, and nobody else can write the key of a comment that does not exist yet.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flows.forges.body import units
from flows.forges.disarm import disarm
from flows.forges.reviews.conversation import Author, Comment, Thread

SUMMARY: Final = "summary"
"""The target of the one comment that a run writes about all its work."""
ISSUE: Final = "issue"
"""The target of the comment on the issue that a run was started from."""

_CHARACTERS: Final = 8_000
_NAME: Final = "claude-code-headless:comment"
_FIELDS: Final = rf"{_NAME} run=([a-z0-9-]{{1,64}}) to=([0-9a-f]{{16}})"
_KEY: Final = re.compile(rf"<!-- {_FIELDS} -->|\[//\]: # \({_FIELDS}\)")


@dataclass(frozen=True)
class Key:
    """What tells two comments of this program apart."""

    run_id: str
    target: str
    """A digest of the thread's id, or of another target, which nobody can make without the run's secret."""

    @classmethod
    def of(cls, run_id: str, target: Thread | str, secret: str) -> "Key":
        """Return the key of a run's comment about a target."""
        name = f"{run_id} {target if isinstance(target, str) else f'thread {target.id}'}"
        digest = hmac.new(secret.encode(), name.encode("utf-8", "replace"), "sha256")
        return cls(run_id, digest.hexdigest()[:16])

    def mark(self, *, html_comments: bool) -> str:
        """Return the line that a reader does not see."""
        fields = f"{_NAME} run={self.run_id} to={self.target}"
        return f"<!-- {fields} -->" if html_comments else f"[//]: # ({fields})"


@dataclass(frozen=True)
class Note:
    """The content of a comment. What is untrusted is disarmed before it is sent."""

    words: str
    """Untrusted words, such as the agent's."""
    run_id: str
    secret: str
    """The secret of the run's comments."""
    footer: str = ""
    """Trusted Markdown below the words, such as the id of a commit."""


def note_text(note: Note, target: Thread | str, *, html_comments: bool) -> str:
    """Return the text of a comment: the disarmed words, the footer, and the key as the last line."""
    words = disarm(note.words).strip()
    if units(words) > _CHARACTERS:
        start = words.encode("utf-16-le")[: 2 * _CHARACTERS].decode("utf-16-le", "ignore")
        words = f"{start.rstrip()} …\n\n(The rest is in the report of the run.)"
    quoted = "\n".join(f"> {line}".rstrip() for line in words.split("\n")) if words else ""
    mark = Key.of(note.run_id, target, note.secret).mark(html_comments=html_comments)
    return "\n\n".join(part for part in (quoted, note.footer, mark) if part)


def key_of(text: str) -> Key | None:
    """Return the key in the last line of a comment; None if there is none."""
    lines = text.rstrip().splitlines()
    match = _KEY.fullmatch(lines[-1]) if lines else None
    return Key(*(field for field in match.groups() if field)) if match else None


def is_own(comment: Comment, account: Author | None) -> bool:
    """Whether this program wrote the comment: it has a key, and its author is the account of the token.

    Without a known account, the key alone decides.
    """
    is_authors = account is None or (bool(account.id) and comment.author.id == account.id)
    return is_authors and key_of(comment.text) is not None


def own_comment(
    threads: Iterable[Thread], run_id: str, target: Thread | str, account: Author | None, secret: str
) -> Comment | None:
    """Return the comment that the run has written about a target, in any thread; None if there is none."""
    key = Key.of(run_id, target, secret)
    comments = (comment for thread in threads for comment in thread.comments)
    return next((each for each in comments if is_own(each, account) and key_of(each.text) == key), None)

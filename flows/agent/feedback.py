"""Builds the part of a prompt that passes the operator's answers on to an agent that has ended its work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flows.text_safety import printable

MAX_BYTES: Final = 20_000
"""The most bytes of one answer. A longer text belongs into a file of the repository or of the instructions."""

_REQUEST: Final = """\
The operator, who gave you the requirements, answers you below. Continue the work with this answer.
"""


@dataclass(frozen=True)
class Feedback:
    """What an agent is told that continues its finished work."""

    number: int
    """How often the finished work has been continued, this time included."""
    texts: Sequence[str]
    """The operator's answers that the agent has not read yet."""
    needs_long_cache: bool = False

    @property
    def request(self) -> str:
        """The part of the prompt."""
        return "\n\n".join((_REQUEST.strip(), *(printable(text).strip() for text in self.texts))) + "\n"

"""Builds the part of a prompt that passes the operator's feedback on to an agent that has ended its work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flows.text_safety import printable

MAX_BYTES: Final = 20_000
"""The most bytes of one feedback. A longer text belongs into a file of the repository or of the instructions."""

_REQUEST: Final = """\
The operator, who gave you the requirements, has read your last message, and answers below. Continue the work with \
this answer.
"""


@dataclass(frozen=True)
class Feedback:
    """What the operator has said that the agent has not read yet."""

    texts: Sequence[str]
    number: int = 0
    """How many repairs the work has had since the feedback."""
    needs_long_cache: bool = False

    @property
    def request(self) -> str:
        """The part of the prompt."""
        return "\n\n".join((_REQUEST.strip(), *(printable(text).strip() for text in self.texts))) + "\n"

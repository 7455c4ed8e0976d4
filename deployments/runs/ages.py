"""Ages as a user writes them."""

import re
from datetime import timedelta
from typing import Final

from deployments.cli.errors import InvalidParameter

_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str) -> timedelta:
    """Parse 12h, 30d or 8w; raise `InvalidParameter` for anything else."""
    match = re.fullmatch(r"(\d{1,4})([hdw])", text)
    if not match:
        raise InvalidParameter(f"--older-than {text!r} is not an age (examples: 12h, 30d, 8w)")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})

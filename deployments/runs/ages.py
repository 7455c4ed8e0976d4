"""Parses ages that a user types, such as 30d."""

import re
from datetime import timedelta
from typing import Final

from deployments.cli.errors import InvalidParameter

_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str) -> timedelta:
    """Return the duration that a text such as 12h, 30d or 8w means; raise `InvalidParameter` for any other text."""
    match = re.fullmatch(r"(\d{1,4})([hdw])", text)
    if not match:
        raise InvalidParameter(f"--older-than {text!r} is not an age (examples: 12h, 30d, 8w)")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})

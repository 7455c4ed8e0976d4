"""Checks `verify` and `junit` of the repository's file: the commands that check a change, and the files of results."""

import re
from pathlib import PurePosixPath
from typing import Any, Final

from flows.errors import InvalidRepositoryFile
from flows.repository.safe_yaml import joins_lines
from flows.text_safety import ASCII_CONTROLS

VERIFY: Final = "verify"
JUNIT: Final = "junit"
_MAX_PATTERNS: Final = 50
_MAX_CHARACTERS: Final = 200
_SEVERAL: Final = f"for several commands, begin with {VERIFY}: | and put each command on a line of its own"
_UNUSABLE: Final = re.compile(rf"[\\{ASCII_CONTROLS}]|^\s|\s$")


def parse_verify(value: Any, source: str) -> str:  # noqa: ANN401 (whatever the file has)
    """Return the commands in the value of `verify`, one on each line.

    Raises:
        InvalidRepositoryFile: The value is neither a text nor a list of commands.
    """
    commands = value if isinstance(value, list) else [value]
    if not all(isinstance(command, str) and "\0" not in command for command in commands):
        raise InvalidRepositoryFile(f"{VERIFY} in {source} is neither a text nor a list of texts: {_SEVERAL}")
    if isinstance(value, list) and any("\n" in command.strip() for command in value):
        raise InvalidRepositoryFile(f"{VERIFY} in {source} has a list whose items have several lines: {_SEVERAL}")
    return "\n".join(commands).strip()


def check_lines(text: str, source: str) -> None:
    """Raise `InvalidRepositoryFile` if YAML joins lines of `verify`, which are then one command.

    Args:
        text: The text of the file.
        source: The name of the file, for people.
    """
    if joins_lines(text, VERIFY):
        raise InvalidRepositoryFile(
            f"{VERIFY} in {source} has several lines that YAML joins to one command: {_SEVERAL}. A backslash at the "
            "end of a line joins the next line to it"
        )


def parse_junit(value: Any, source: str) -> tuple[str, ...]:  # noqa: ANN401 (whatever the file has)
    """Return the patterns in the value of `junit`.

    Raises:
        InvalidRepositoryFile: The value is not a list of usable patterns.
    """
    if value in (None, ""):
        return ()
    if not isinstance(value, list) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise InvalidRepositoryFile(
            f"{JUNIT} in {source} is not a list of paths: write for example {JUNIT}: [reports/*.xml]"
        )
    if len(value) > _MAX_PATTERNS:
        raise InvalidRepositoryFile(f"{JUNIT} in {source} has more than {_MAX_PATTERNS} paths: use wildcards")
    for pattern in value:
        path = PurePosixPath(pattern)
        is_outside = path.is_absolute() or ".." in path.parts or path.parts[:1] in {(), ("~",)}
        if is_outside or len(pattern) > _MAX_CHARACTERS or _UNUSABLE.search(pattern) or ".git" in path.parts:
            raise InvalidRepositoryFile(
                f"{JUNIT} in {source} has the path {pattern[:_MAX_CHARACTERS]!r}: name files below the work tree; "
                "* stands for a name and ** for any folders"
            )
    return tuple(dict.fromkeys(str(PurePosixPath(pattern)) for pattern in value))

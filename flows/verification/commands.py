"""Reads the verify commands of a run: one shell command on each line."""

import re
from dataclasses import dataclass
from typing import Final

from flows.errors import InvalidVerifyCommands
from flows.parameters.verification import has_commands
from flows.repository.clone import Checkout
from flows.sandbox.commands import check, run
from flows.sandbox.shell import SHELL
from flows.sandbox.workspace import Workspace

PARAMETER: Final = "verification.verify_commands"
MAX_COMMANDS: Final = 100
"""Each command has its own result, which the record, the report and the prompt of a repair hold."""
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
"""What ends a line for a shell or an editor. Python's `splitlines` also splits at characters inside of commands."""

_SYNTAX: Final = r"""for line; do LC_ALL=C "$0" -n -c -- "$line" 2>&1; printf '\n%s\0' $?; done"""
_PLACE: Final = re.compile(r"^\S+: (?:-c: )?line \d+: ")
_HERE_DOCUMENT: Final = "here-document"
"""Part of a warning of bash: the text of the document would be on the next lines, which are commands of their own."""

_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True)
class VerifyCommands:
    """The commands that check a change."""

    commands: tuple[str, ...]
    junit: tuple[str, ...]
    """Patterns of the paths, below the work tree, of the JUnit files that the commands write."""
    source: str
    """Where the commands come from, for people."""


def verify_commands(parameter: str, checkout: Checkout) -> VerifyCommands | None:
    """Return a run's verify commands: its parameter, or what the repository's file says; None if both have none.

    A parameter without commands, such as `#`, asks for none, whatever the file says.

    Raises:
        InvalidVerifyCommands: There are too many commands.
    """
    text, source = (parameter, PARAMETER) if parameter else (checkout.verify_commands, checkout.setup_source)
    commands = parse_commands(text) if has_commands(text) else ()
    if len(commands) > MAX_COMMANDS:
        raise InvalidVerifyCommands(
            f"there are {len(commands):,} verify commands, from {source}, and at most {MAX_COMMANDS} may be there: put "
            "them into a script of the repository, and run the script"
        )
    return VerifyCommands(commands, checkout.junit, source) if commands else None


def check_syntax(workspace: Workspace, commands: VerifyCommands) -> None:
    """Let bash read each command without running it.

    Raises:
        InvalidVerifyCommands: bash cannot read one of the commands, which would fail on every change.
    """
    line = ["sh", "-c", _SYNTAX, SHELL, *commands.commands]
    output = check(run(workspace, line), "read the verify commands").stdout.decode("utf-8", "replace")
    for command, result in zip(commands.commands, output.split("\0"), strict=False):
        message, _, status = result.rpartition("\n")
        if status != "0" or _HERE_DOCUMENT in message:
            reason = _PLACE.sub("", next(iter(message.strip().splitlines()), "it has an error"))
            raise InvalidVerifyCommands(
                f"bash cannot read the verify command {command[:_SHOWN_CHARACTERS]!r}, from {commands.source}: "
                f"{reason}. Each line is a command of its own: put a longer one into a script of the repository, or "
                "end its lines with a backslash"
            )


def parse_commands(text: str) -> tuple[str, ...]:
    """Return the commands in a text: one on each line, without empty lines and lines that start with `#`.

    A backslash at the end of a line joins the next line to it, as in a shell.
    """
    commands, pending = list[str](), ""
    for line in _LINE_BREAK.split(text):
        if not pending and line.lstrip().startswith("#"):
            continue
        pending += line
        # Two backslashes are one backslash for the shell, and join nothing.
        if (len(pending) - len(pending.rstrip("\\"))) % 2:
            pending = pending[:-1]
            continue
        commands.append(pending.strip())
        pending = ""
    commands.append(pending.strip())
    return tuple(command for command in commands if command)

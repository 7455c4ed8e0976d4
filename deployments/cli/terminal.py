"""What all commands share: how they print, refuse, and are given a token."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape

from deployments.aws.account import aws_refusals
from deployments.cli.errors import Refused, TokenMissing

_WIDTH = None if sys.stdout.isatty() else 120


def console() -> Console:
    """Return where a command's output goes now."""
    return Console(highlight=False, width=_WIDTH)


@contextmanager
def refusals() -> Iterator[None]:
    """End with status 1 and one sentence, where a command cannot go on."""
    try:
        with aws_refusals():
            yield
    except Refused as refused:
        sentence = f"[red]{type(refused).__name__}[/red]: {escape(str(refused))}"
        Console(stderr=True, highlight=False, width=_WIDTH).print(sentence, soft_wrap=True)
        raise typer.Exit(1) from None


def read_token(given: str) -> SecretStr:
    """Return the token: from the option, from standard input for '-', or asked for where someone sits."""
    if given == "-":
        return SecretStr(sys.stdin.readline().strip())
    if given:
        return SecretStr(given)
    if not sys.stdin.isatty():
        raise TokenMissing("there is no git token: pipe it in with --token -, or give it at a terminal")
    return SecretStr(typer.prompt("git token", hide_input=True))

"""Ends a command that cannot continue: prints one sentence that names the error, and exits with status 1."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape

from deployments.cli.errors import AwsRefused, Refused
from deployments.cli.terminal import error_console


@contextmanager
def refusals() -> Iterator[None]:
    """Catch a `Refused`, or an error of AWS that no command handles. Print the error, and exit with status 1."""
    try:
        with _aws_refusals():
            yield
    except Refused as error:
        sentence = f"[red]{type(error).__name__}[/red]: {escape(str(error))}"
        error_console().print(sentence, soft_wrap=True)
        raise typer.Exit(1) from None


@contextmanager
def _aws_refusals() -> Iterator[None]:
    """Convert an error of AWS that no command handles into `AwsRefused`."""
    try:
        yield
    except ClientError as error:
        message = error.response["Error"].get("Message", error)
        raise AwsRefused(f"AWS refused {error.operation_name}: {message}") from None
    except BotoCoreError as error:
        raise AwsRefused(f"AWS did not answer: {error}") from None

"""The command line `python -m deployments`. Modules add their commands to it when they are imported."""

from typing import Final

import typer

app: Final = typer.Typer(
    help="Set up claude-code-headless on AWS with secret, roles, image and pool, or with up, which runs all four. Then "
    "start a run.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)

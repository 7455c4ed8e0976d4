"""The command line `python -m deployments`. Each module with commands adds them to it when the module is imported."""

from typing import Final

import typer

app: Final = typer.Typer(
    help="Set-up on AWS: the commands `secret`, `roles`, `image` and `pool`, or `up` for all four, and then `run`. "
    "Anywhere: `doctor` checks what a run needs, `runs` continues or repeats a run, and `automations` sets up "
    "notifications and the recovery of lost runs.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)

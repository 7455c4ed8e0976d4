"""The command line `python -m deployments`; each area adds its commands to it when it is imported."""

from typing import Final

import typer

app: Final = typer.Typer(
    help="Put claude-code-headless on AWS: secret, roles, image, pool, and then run; or up, which does the first four.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)

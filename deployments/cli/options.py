"""The command-line options that several groups of commands share."""

from typing import Annotated

import typer

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would change.")]

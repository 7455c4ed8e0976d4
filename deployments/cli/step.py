"""A step of the set-up: it can say what it would change, and then change it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True)
class Change:
    """One thing that a step makes, changes or removes."""

    verb: str
    what: str
    details: tuple[str, ...] = ()


class Step(Protocol):
    """`plan` only reads, so that a dry run, which calls nothing else, cannot change anything."""

    def plan(self) -> list[Change]:
        """Say what `apply` would change; nothing where all is as it should be."""

    def apply(self) -> None:
        """Change it."""


def carry_out(steps: Iterable[Step], console: Console, *, dry_run: bool) -> int:
    """Do the steps one after the other, or only say what they would do; return the number of changes."""
    count = 0
    for step in steps:
        changes = step.plan()
        for change in changes:
            show(change, console, dry_run=dry_run)
        if changes and not dry_run:
            step.apply()
        count += len(changes)
    if not count:
        console.print("nothing to change")
    return count


def show(change: Change, console: Console, *, dry_run: bool) -> None:
    """Print a change and its details."""
    console.print(f"{'would ' if dry_run else ''}[bold]{change.verb}[/bold] {escape(change.what)}", soft_wrap=True)
    for detail in change.details:
        console.print(f"  [dim]{escape(detail)}[/dim]", soft_wrap=True)

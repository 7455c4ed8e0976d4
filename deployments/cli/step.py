"""The steps of the set-up. A step first plans its changes, and then applies them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True)
class Change:
    """A change that a step makes to a resource, such as its creation, update or deletion."""

    verb: str
    resource: str
    details: tuple[str, ...] = ()


class Step(Protocol):
    """A step of the set-up: `plan` returns its changes, and `apply` makes them. A dry run calls only `plan`."""

    def plan(self) -> list[Change]:
        """Return the changes that `apply` would make, without making them; an empty list if no change is needed."""

    def apply(self) -> None:
        """Make the planned changes."""


def carry_out(steps: Iterable[Step], console: Console, *, dry_run: bool) -> int:
    """Plan and apply the steps in order; in a dry run, only print the planned changes. Return the number of changes."""
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
    console.print(f"{'would ' if dry_run else ''}[bold]{change.verb}[/bold] {escape(change.resource)}", soft_wrap=True)
    for detail in change.details:
        console.print(f"  [dim]{escape(detail)}[/dim]", soft_wrap=True)

"""Automations on the Prefect server, identified by name: created from the files here, and updated if they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore

from deployments.cli.step import Change

FOLDER: Final = Path(__file__).parent
NOTIFICATIONS: Final = "notifications"
_FILES: Final = ("crash-detection", "run-again", "cancellation", NOTIFICATIONS)


@dataclass(frozen=True)
class Recipient:
    """The block document on the server that notifications are sent to."""

    block_id: UUID
    is_webhook: bool

    def action(self, written: dict[str, Any]) -> dict[str, Any]:
        """Return the action of the file for this block."""
        if not self.is_webhook:
            return {**written, "block_document_id": str(self.block_id)}
        text = f"{written['subject']}\n{written['body']}"
        payload = (
            f'{{"text": {{% filter tojson %}}{text}{{% endfilter %}}, "event": {{{{ event.event|tojson }}}}, '
            '"resource": {{ event.resource|tojson }}, "payload": {{ event.payload|tojson }}}'
        )
        return {"type": "call-webhook", "block_document_id": str(self.block_id), "payload": payload}


def automations(max_runs: int, silence_seconds: int, recipient: Recipient | None) -> Iterator[AutomationCore]:
    """Yield the automations of the files, with the options of the command; without a recipient, no notifications."""
    [lost] = _read("crash-detection")
    lost["trigger"]["within"] = silence_seconds
    [again] = _read("run-again")
    again["trigger"]["match"]["prefect.run-count"] = [str(count) for count in range(1, max_runs)]
    again["description"] = f"Executes a run of implement again after a crash, {max_runs} times in all."
    [cancelled] = _read("cancellation")
    notifications = _read(NOTIFICATIONS) if recipient else []
    for notification in notifications:
        notification["actions"] = [recipient.action(action) for action in notification["actions"]] if recipient else []
    yield from map(AutomationCore.model_validate, (lost, again, cancelled, *notifications))


def names() -> list[str]:
    """Return the names of all automations of the files."""
    return [str(one["name"]) for file in _FILES for one in _read(file)]


def _read(file: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((FOLDER / f"{file}.yaml").read_text())
    found: list[dict[str, Any]] = content.get("automations", [content])
    return found


@dataclass(frozen=True)
class Installed:
    """One automation, as it should be on the server. If a person paused it there, it stays paused."""

    prefect: SyncPrefectClient
    wanted: AutomationCore

    def plan(self) -> list[Change]:
        """Compare it with the one of that name."""
        what = f"automation {self.wanted.name!r}"
        found = _found(self.prefect, self.wanted.name)
        if not found:
            return [Change("create", what, (self.wanted.description,))]
        return [] if _content(found[0]) == _content(self.wanted) else [Change("update", what)]

    def apply(self) -> None:
        """Create it, or change it."""
        found = _found(self.prefect, self.wanted.name)
        if not found:
            self.prefect.create_automation(self.wanted)
        else:
            self.wanted.enabled = found[0].enabled
            self.prefect.update_automation(found[0].id, self.wanted)


@dataclass(frozen=True)
class Removed:
    """One automation that should not be on the server."""

    prefect: SyncPrefectClient
    name: str

    def plan(self) -> list[Change]:
        """Look for it on the server."""
        return [Change("delete", f"automation {self.name!r}")] if _found(self.prefect, self.name) else []

    def apply(self) -> None:
        """Delete it."""
        for automation in _found(self.prefect, self.name):
            self.prefect.delete_automation(automation.id)


def _found(prefect: SyncPrefectClient, name: str) -> list[Automation]:
    return prefect.read_automations_by_name(name)


def _content(automation: AutomationCore) -> dict[str, Any]:
    """Return what makes two automations the same; a server adds ids and may write sets in any order."""
    content: dict[str, Any] = AutomationCore(**automation.model_dump()).model_dump(mode="json", exclude={"enabled"})
    return {name: _sorted(value) for name, value in content.items()}


def _sorted(value: Any) -> Any:  # noqa: ANN401 (what JSON holds)
    if isinstance(value, dict):
        return {key: _sorted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(inner) for inner in value), key=str)
    return value

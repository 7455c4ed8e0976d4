"""Creates automations on the Prefect server from the YAML files in this folder, and updates and deletes them.

An automation is identified by its name, and updated if it differs from its definition in the file.
"""

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
    """The Prefect block that receives the notifications."""

    block_id: UUID
    is_webhook: bool

    def action(self, template: dict[str, Any]) -> dict[str, Any]:
        """Return an action that notifies this block. `template` is the action as a YAML file defines it."""
        if not self.is_webhook:
            return {**template, "block_document_id": str(self.block_id)}
        text = f"{template['subject']}\n{template['body']}"
        payload = (
            f'{{"text": {{% filter tojson %}}{text}{{% endfilter %}}, "event": {{{{ event.event|tojson }}}}, '
            '"resource": {{ event.resource|tojson }}, "payload": {{ event.payload|tojson }}}'
        )
        return {"type": "call-webhook", "block_document_id": str(self.block_id), "payload": payload}


def automations(max_runs: int, silence_seconds: int, recipient: Recipient | None) -> Iterator[AutomationCore]:
    """Yield the automations of the YAML files, changed by the command's options.

    Without a recipient, the automations that send notifications are left out.
    """
    [crash_detection] = _read("crash-detection")
    crash_detection["trigger"]["within"] = silence_seconds
    [run_again] = _read("run-again")
    run_again["trigger"]["match"]["prefect.run-count"] = [str(count) for count in range(1, max_runs)]
    run_again["description"] = f"Executes a run of implement again after a crash, up to {max_runs} executions in all."
    [cancellation] = _read("cancellation")
    notifications = _read(NOTIFICATIONS) if recipient else []
    for notification in notifications:
        notification["actions"] = [recipient.action(action) for action in notification["actions"]] if recipient else []
    yield from map(AutomationCore.model_validate, (crash_detection, run_again, cancellation, *notifications))


def names() -> list[str]:
    """Return the names of all automations that the YAML files define."""
    return [str(automation["name"]) for file in _FILES for automation in _read(file)]


def _read(file: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((FOLDER / f"{file}.yaml").read_text())
    automations_of_file: list[dict[str, Any]] = content.get("automations", [content])
    return automations_of_file


@dataclass(frozen=True)
class Installed:
    """The step that creates or updates an automation on the server. If a person has paused it, it stays paused."""

    prefect: SyncPrefectClient
    automation: AutomationCore

    def plan(self) -> list[Change]:
        """Return the planned creation or update if the server has no automation of this name, or a different one."""
        resource = f"automation {self.automation.name!r}"
        existing = _read_by_name(self.prefect, self.automation.name)
        if not existing:
            return [Change("create", resource, (self.automation.description,))]
        return [] if _content(existing[0]) == _content(self.automation) else [Change("update", resource)]

    def apply(self) -> None:
        """Create or update the automation."""
        existing = _read_by_name(self.prefect, self.automation.name)
        if not existing:
            self.prefect.create_automation(self.automation)
        else:
            self.automation.enabled = existing[0].enabled
            self.prefect.update_automation(existing[0].id, self.automation)


@dataclass(frozen=True)
class Removed:
    """The step that deletes an automation on the server."""

    prefect: SyncPrefectClient
    name: str

    def plan(self) -> list[Change]:
        """Return the planned deletion if the automation is on the server."""
        return [Change("delete", f"automation {self.name!r}")] if _read_by_name(self.prefect, self.name) else []

    def apply(self) -> None:
        """Delete all automations of this name."""
        for automation in _read_by_name(self.prefect, self.name):
            self.prefect.delete_automation(automation.id)


def _read_by_name(prefect: SyncPrefectClient, name: str) -> list[Automation]:
    return prefect.read_automations_by_name(name)


def _content(automation: AutomationCore) -> dict[str, Any]:
    """Return the contents of an automation in a form in which it can be compared with another automation.

    The contents have no ids, because the server adds ids. Their lists are sorted, because the server may reorder sets.
    """
    content: dict[str, Any] = AutomationCore(**automation.model_dump()).model_dump(mode="json", exclude={"enabled"})
    return {name: _sorted(value) for name, value in content.items()}


def _sorted(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    if isinstance(value, dict):
        return {key: _sorted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(inner) for inner in value), key=str)
    return value

"""Automations on the Prefect server: as the files here have them, made or changed where they differ, known by name."""

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
class Told:
    """Whom notifications go to: a block document on the server, which is called or notified."""

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


def automations(max_runs: int, silence_seconds: int, told: Told | None) -> Iterator[AutomationCore]:
    """Yield the automations of the files, with what the command was told in them; no notifications to nobody."""
    [lost] = _read("crash-detection")
    lost["trigger"]["within"] = silence_seconds
    [again] = _read("run-again")
    again["trigger"]["match"]["prefect.run-count"] = [str(count) for count in range(1, max_runs)]
    again["description"] = f"Executes a run of implement again after a crash, {max_runs} times in all."
    [cancelled] = _read("cancellation")
    told_of = _read(NOTIFICATIONS) if told else []
    for one in told_of:
        one["actions"] = [told.action(written) for written in one["actions"]] if told else []
    yield from map(AutomationCore.model_validate, (lost, again, cancelled, *told_of))


def names() -> list[str]:
    """Return the names of all automations of the files."""
    return [str(one["name"]) for file in _FILES for one in _read(file)]


def _read(file: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((FOLDER / f"{file}.yaml").read_text())
    found: list[dict[str, Any]] = content.get("automations", [content])
    return found


@dataclass(frozen=True)
class Installed:
    """One automation, as it should be on the server. Whether it is paused there is somebody else's matter."""

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
    """One automation, not to be on the server."""

    prefect: SyncPrefectClient
    name: str

    def plan(self) -> list[Change]:
        """See whether it is there."""
        return [Change("delete", f"automation {self.name!r}")] if _found(self.prefect, self.name) else []

    def apply(self) -> None:
        """Delete it."""
        for one in _found(self.prefect, self.name):
            self.prefect.delete_automation(one.id)


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

"""The block that receives notifications: either a block that stores a webhook's URL, or another existing block."""

from dataclasses import dataclass
from typing import Any, Final

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import SecretStr

from deployments.cli.errors import NotificationBlockUnknown
from deployments.cli.step import Change
from deployments.prefect.automations.installed import Recipient

BLOCK_NAME: Final = "claude-code-headless"
_WEBHOOK: Final = "webhook"


@dataclass(frozen=True)
class WebhookBlock:
    """The step that stores a webhook's URL, which is often a secret, in a Prefect block."""

    prefect: SyncPrefectClient
    url: SecretStr

    def plan(self) -> list[Change]:
        """Return the planned change if the stored URL differs from `url`. The change contains neither URL."""
        resource = f"block {_WEBHOOK}/{BLOCK_NAME}"
        document = _document(self.prefect, _WEBHOOK, BLOCK_NAME)
        if not document:
            return [Change("create", resource)]
        return [] if document.data.get("url") == self.url.get_secret_value() else [Change("update", resource)]

    def apply(self) -> None:
        """Save the webhook's block on the Prefect server."""
        block = Webhook(url=self.url, headers=SecretDict({"Content-Type": "application/json"}))
        block.save(BLOCK_NAME, overwrite=True, _sync=True)  # type: ignore[call-arg]


@dataclass(frozen=True)
class RemovedWebhookBlock:
    """The step that deletes the webhook's block on the Prefect server."""

    prefect: SyncPrefectClient

    def plan(self) -> list[Change]:
        """Return the planned deletion if the block is on the server."""
        exists = _document(self.prefect, _WEBHOOK, BLOCK_NAME)
        return [Change("delete", f"block {_WEBHOOK}/{BLOCK_NAME}")] if exists else []

    def apply(self) -> None:
        """Delete the block."""
        if document := _document(self.prefect, _WEBHOOK, BLOCK_NAME):
            self.prefect.delete_block_document(document.id)


def find_recipient(prefect: SyncPrefectClient, slug: str) -> Recipient:
    """Look up the Prefect block `type/name`, and return it as the recipient of notifications.

    Raises:
        NotificationBlockUnknown: The block does not exist, or it cannot receive notifications.
    """
    kind, _, name = slug.partition("/")
    document = _document(prefect, kind, name)
    if document is None:
        raise NotificationBlockUnknown(f"there is no block {slug}: create it in Prefect's UI under Blocks")
    is_webhook = kind == _WEBHOOK
    schema: Any = document.block_schema
    if not is_webhook and "notify" not in (schema.capabilities if schema else ()):
        raise NotificationBlockUnknown(
            f"the block {slug} cannot receive notifications: name one such as slack-webhook/… or webhook/…"
        )
    return Recipient(document.id, is_webhook)


def _document(prefect: SyncPrefectClient, kind: str, name: str) -> BlockDocument | None:
    try:
        return prefect.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        return None

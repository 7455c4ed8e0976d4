"""The Prefect block that names the results bucket, where runs on AWS save their state. The block contains no keys."""

from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect_aws import AwsCredentials, S3Bucket

from deployments.cli.step import Change

_BLOCK_TYPE: Final = "s3-bucket"


def block_slug(name: str) -> str:
    """Return the block's type and name as `type/name`, the form that Prefect's setting for result storage expects."""
    return f"{_BLOCK_TYPE}/{name}"


@dataclass(frozen=True)
class ResultsBlock:
    """The step that saves the block of the results bucket.

    The block contains no keys: a process that loads the block needs its own role or keys for the bucket.
    """

    prefect: SyncPrefectClient
    name: str
    bucket: str
    region: str

    def _block(self) -> S3Bucket:
        return S3Bucket(bucket_name=self.bucket, credentials=AwsCredentials(region_name=self.region))

    def document(self) -> BlockDocument | None:
        """Return the block as it is stored on the Prefect server; None if the block does not exist there."""
        try:
            return self.prefect.read_block_document_by_name(self.name, _BLOCK_TYPE)
        except ObjectNotFound:
            return None

    def plan(self) -> list[Change]:
        """Return the planned creation or update if the block is missing on the server, or has other contents there."""
        resource, details = f"block {block_slug(self.name)}", (f"bucket {self.bucket}",)
        if not self.document():
            return [Change("create", resource, details)]
        return [] if self._is_up_to_date() else [Change("update", resource, details)]

    def _is_up_to_date(self) -> bool:
        stored: Any = S3Bucket.load(self.name, _sync=True)  # type: ignore[call-arg]
        block = self._block()
        return bool(
            stored.bucket_name == block.bucket_name
            and not stored.bucket_folder
            and stored.credentials.region_name == block.credentials.region_name
            and not stored.credentials.aws_access_key_id
        )

    def apply(self) -> None:
        """Save the block on the server, in place of an existing block of the same name."""
        self._block().save(self.name, overwrite=True, _sync=True)  # type: ignore[call-arg]

    def remove(self) -> None:
        """Delete the block. The bucket stays."""
        if document := self.document():
            self.prefect.delete_block_document(document.id)

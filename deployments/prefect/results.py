"""The block that names the results bucket, where runs on AWS store their saved state. It holds no keys."""

from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect_aws import AwsCredentials, S3Bucket

from deployments.cli.step import Change

_BLOCK_TYPE: Final = "s3-bucket"


def block_slug(name: str) -> str:
    """Return the block's name in the form of Prefect's setting for the default result storage."""
    return f"{_BLOCK_TYPE}/{name}"


@dataclass(frozen=True)
class ResultsBlock:
    """The block document; anyone who loads it needs a role or keys of their own for the bucket."""

    prefect: SyncPrefectClient
    name: str
    bucket: str
    region: str

    def _wanted(self) -> S3Bucket:
        return S3Bucket(bucket_name=self.bucket, credentials=AwsCredentials(region_name=self.region))

    def document(self) -> BlockDocument | None:
        """Return the document on the server; None if there is none."""
        try:
            return self.prefect.read_block_document_by_name(self.name, _BLOCK_TYPE)
        except ObjectNotFound:
            return None

    def plan(self) -> list[Change]:
        """Compare the block with the one on the server."""
        what, details = f"block {block_slug(self.name)}", (f"bucket {self.bucket}",)
        if not self.document():
            return [Change("create", what, details)]
        return [] if self._is_right() else [Change("update", what, details)]

    def _is_right(self) -> bool:
        found: Any = S3Bucket.load(self.name, _sync=True)  # type: ignore[call-arg]
        wanted = self._wanted()
        return bool(
            found.bucket_name == wanted.bucket_name
            and not found.bucket_folder
            and found.credentials.region_name == wanted.credentials.region_name
            and not found.credentials.aws_access_key_id
        )

    def apply(self) -> None:
        """Save the block, in place of one of the same name."""
        self._wanted().save(self.name, overwrite=True, _sync=True)  # type: ignore[call-arg]

    def remove(self) -> None:
        """Delete the block; the bucket stays."""
        if document := self.document():
            self.prefect.delete_block_document(document.id)

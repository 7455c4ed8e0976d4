"""Where runs on AWS keep what they made: the results bucket, as a block on the Prefect server that holds no keys."""

from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect_aws import AwsCredentials, S3Bucket

from deployments.aws.account import Account
from deployments.cli.step import Change

_BLOCK_TYPE: Final = "s3-bucket"


def block_slug(account: Account) -> str:
    """Return the block's name as Prefect's setting of the default result storage takes it."""
    return f"{_BLOCK_TYPE}/{account.project}"


@dataclass(frozen=True)
class ResultsBlock:
    """The block document; whoever uses it does so with a role or keys of their own."""

    account: Account
    prefect: SyncPrefectClient

    def _wanted(self) -> S3Bucket:
        return S3Bucket(
            bucket_name=self.account.bucket("results"), credentials=AwsCredentials(region_name=self.account.region)
        )

    def document(self) -> BlockDocument | None:
        """Return the document on the server; None where there is none."""
        try:
            return self.prefect.read_block_document_by_name(self.account.project, _BLOCK_TYPE)
        except ObjectNotFound:
            return None

    def plan(self) -> list[Change]:
        """Compare it with the one on the server."""
        what, details = f"block {block_slug(self.account)}", (f"bucket {self.account.bucket('results')}",)
        if not self.document():
            return [Change("create", what, details)]
        return [] if self._is_right() else [Change("update", what, details)]

    def _is_right(self) -> bool:
        found: Any = S3Bucket.load(self.account.project, _sync=True)  # type: ignore[call-arg]
        wanted = self._wanted()
        return bool(
            found.bucket_name == wanted.bucket_name
            and not found.bucket_folder
            and found.credentials.region_name == wanted.credentials.region_name
            and not found.credentials.aws_access_key_id
        )

    def apply(self) -> None:
        """Save it."""
        self._wanted().save(self.account.project, overwrite=True, _sync=True)  # type: ignore[call-arg]

    def remove(self) -> None:
        """Delete it; the bucket is another matter."""
        if document := self.document():
            self.prefect.delete_block_document(document.id)

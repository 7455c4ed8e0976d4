"""Prefect's result storage as far as runs' keepings lie there: a local directory, or a bucket."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prefect.blocks.core import Block
from prefect.filesystems import LocalFileSystem
from prefect.results import get_default_result_storage

from deployments.cli.errors import StoreUnknown
from flows.errors import StoreUnavailable
from flows.state.files import FOLDER
from flows.state.store import RunStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef
    from prefect_aws import S3Bucket

_USAGE: Final = "usage.json"


@dataclass(frozen=True)
class Kept:
    """What one run has left."""

    flow_run_id: str
    names: frozenset[str]
    size: int
    """In bytes."""
    newest: datetime

    @property
    def has_change(self) -> bool:
        """Whether a change is kept that `deliver` could push."""
        return "change.bundle" in self.names


@dataclass(frozen=True)
class Store(ABC):
    """The keepings of all runs in one place."""

    block: Any

    @abstractmethod
    def place(self) -> str:
        """Say where it is."""

    @abstractmethod
    def delete(self, flow_run_id: str) -> None:
        """Delete everything of a run, for good."""

    @abstractmethod
    def _files(self) -> Iterator[tuple[str, int, datetime]]:
        """Yield path below the folder, size and time of each file."""

    def runs(self) -> list[Kept]:
        """Return what there is, the newest first."""
        files: dict[str, list[tuple[str, int, datetime]]] = {}
        for path, size, time in self._files():
            flow_run_id, _, name = path.partition("/")
            files.setdefault(flow_run_id, []).append((name, size, time))
        found = [_kept(flow_run_id, of_run) for flow_run_id, of_run in files.items()]
        return sorted(found, key=lambda kept: kept.newest, reverse=True)

    def spent(self, kept: Kept) -> dict[str, Any]:
        """Return what the run's model cost; nothing where it kept none."""
        if _USAGE not in kept.names:
            return {}
        try:
            return dict(json.loads(RunStore(self.block, kept.flow_run_id, ()).read(_USAGE) or b"{}"))
        except (StoreUnavailable, ValueError):
            return {}


def _kept(flow_run_id: str, files: Iterable[tuple[str, int, datetime]]) -> Kept:
    names, sizes, times = zip(*files, strict=True)
    return Kept(flow_run_id, frozenset(names), sum(sizes), max(times))


class LocalStore(Store):
    """In a directory of this machine."""

    block: LocalFileSystem

    @property
    def _folder(self) -> Path:
        return Path(self.block.basepath or ".").expanduser() / FOLDER

    def place(self) -> str:
        """Return the directory."""
        return str(self._folder)

    def delete(self, flow_run_id: str) -> None:
        """Delete its directory."""
        shutil.rmtree(self._folder / flow_run_id)

    def _files(self) -> Iterator[tuple[str, int, datetime]]:
        for path in self._folder.glob("*/*"):
            of = path.stat()
            yield path.relative_to(self._folder).as_posix(), of.st_size, datetime.fromtimestamp(of.st_mtime, UTC)


class BucketStore(Store):
    """In a bucket. What is deleted there is deleted in all its versions."""

    block: "S3Bucket"

    @cached_property
    def _client(self) -> "S3Client":
        return self.block.credentials.get_s3_client()

    @property
    def _prefix(self) -> str:
        folder = self.block.bucket_folder.strip("/")
        return f"{folder}/{FOLDER}/" if folder else f"{FOLDER}/"

    def place(self) -> str:
        """Return the bucket and the prefix."""
        return f"s3://{self.block.bucket_name}/{self._prefix}"

    def delete(self, flow_run_id: str) -> None:
        """Delete every version of its objects."""
        pages = self._client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.block.bucket_name, Prefix=f"{self._prefix}{flow_run_id}/"):
            there = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects: list[ObjectIdentifierTypeDef] = [
                {"Key": one["Key"], "VersionId": one["VersionId"]} for one in there
            ]
            if objects:
                self._client.delete_objects(Bucket=self.block.bucket_name, Delete={"Objects": objects, "Quiet": True})

    def _files(self) -> Iterator[tuple[str, int, datetime]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.block.bucket_name, Prefix=self._prefix):
            for one in page.get("Contents", []):
                yield one["Key"].removeprefix(self._prefix), one["Size"], one["LastModified"]


def open_store(slug: str) -> Store:
    """Return the store in the block `type/name`, or, without one, in Prefect's default result storage.

    Raises:
        StoreUnknown: There is no such block, or what it stores cannot be listed.
    """
    try:
        block: Any = Block.load(slug, _sync=True) if slug else get_default_result_storage(_sync=True)  # type: ignore[call-arg]
    except ValueError as error:
        raise StoreUnknown(f"there is no block {slug}: {error}") from None
    if isinstance(block, LocalFileSystem):
        return LocalStore(block)
    if hasattr(block, "bucket_name") and hasattr(block, "credentials"):
        return BucketStore(block)
    raise StoreUnknown(f"the runs' keepings in a {type(block).__name__} cannot be listed: S3 and local directories can")

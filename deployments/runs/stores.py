"""Lists and deletes the saved state of runs in Prefect's result storage: a local directory or an S3 bucket."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
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
from flows.state.files import BRANCHES, CACHES, FOLDER, StateFile
from flows.state.store import RunStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef
    from prefect_aws import S3Bucket

_USAGE: Final = StateFile.USAGE


@dataclass(frozen=True)
class SavedRun:
    """A run whose state is saved: its id, and the names, total size and time of the saved files."""

    flow_run_id: str
    names: frozenset[str]
    size: int
    """The total size of the saved files in bytes."""
    newest: datetime
    """The time at which the newest of the saved files was written."""

    @property
    def has_change(self) -> bool:
        """Whether the saved state contains a change that the flow `deliver` could push."""
        return StateFile.BUNDLE in self.names


@dataclass(frozen=True)
class Store(ABC):
    """A storage block that contains the saved state of runs."""

    block: Any

    @abstractmethod
    def location(self) -> str:
        """Return where the saved state is: the path of a directory, or the S3 URI of a bucket and prefix."""

    @abstractmethod
    def delete(self, flow_run_id: str) -> None:
        """Delete all files of a run permanently, including older versions."""

    @abstractmethod
    def files(self) -> Iterator[tuple[str, int, datetime]]:
        """Yield the path, the size in bytes and the modification time of each file.

        Paths are relative to the folder of saved state, and begin with the id of a run.
        """

    def runs(self) -> list[SavedRun]:
        """Return all runs that have saved state, with the most recently changed run first."""
        files: dict[str, list[tuple[str, int, datetime]]] = {}
        for path, size, time in self.files():
            flow_run_id, _, name = path.partition("/")
            if flow_run_id in {BRANCHES, CACHES}:
                continue
            files.setdefault(flow_run_id, []).append((name, size, time))
        saved_runs = []
        for flow_run_id, run_files in files.items():
            names, sizes, times = zip(*run_files, strict=True)
            saved_runs.append(SavedRun(flow_run_id, frozenset(names), sum(sizes), max(times)))
        return sorted(saved_runs, key=lambda saved: saved.newest, reverse=True)

    def usage(self, saved: SavedRun) -> dict[str, Any]:
        """Return the run's saved model usage (`spent_usd` and more); an empty dictionary if none can be read."""
        if _USAGE not in saved.names:
            return {}
        try:
            return dict(json.loads(RunStore(self.block, saved.flow_run_id, ()).read(_USAGE) or b"{}"))
        except (StoreUnavailable, ValueError):
            return {}


class LocalStore(Store):
    """A directory on this machine that contains the saved state of runs."""

    block: LocalFileSystem

    @property
    def _folder(self) -> Path:
        return Path(self.block.basepath or ".").expanduser() / FOLDER

    def location(self) -> str:
        """Return the path of the directory."""
        return str(self._folder)

    def delete(self, flow_run_id: str) -> None:
        """Delete the run's directory."""
        shutil.rmtree(self._folder / flow_run_id)

    def files(self) -> Iterator[tuple[str, int, datetime]]:
        """Yield the relative path, the size in bytes and the modification time of each file."""
        for path in self._folder.glob("*/*"):
            stat = path.stat()
            yield path.relative_to(self._folder).as_posix(), stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)


class BucketStore(Store):
    """An S3 bucket that contains the saved state of runs."""

    block: "S3Bucket"

    @cached_property
    def _client(self) -> "S3Client":
        return self.block.credentials.get_s3_client()

    @property
    def _prefix(self) -> str:
        folder = self.block.bucket_folder.strip("/")
        return f"{folder}/{FOLDER}/" if folder else f"{FOLDER}/"

    def location(self) -> str:
        """Return the S3 URI of the bucket and the prefix."""
        return f"s3://{self.block.bucket_name}/{self._prefix}"

    def delete(self, flow_run_id: str) -> None:
        """Delete all objects of the run, with all their versions."""
        pages = self._client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.block.bucket_name, Prefix=f"{self._prefix}{flow_run_id}/"):
            versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects: list[ObjectIdentifierTypeDef] = [
                {"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions
            ]
            if objects:
                self._client.delete_objects(Bucket=self.block.bucket_name, Delete={"Objects": objects, "Quiet": True})

    def files(self) -> Iterator[tuple[str, int, datetime]]:
        """Yield the key below the prefix, the size in bytes and the modification time of each object."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.block.bucket_name, Prefix=self._prefix):
            for item in page.get("Contents", []):
                yield item["Key"].removeprefix(self._prefix), item["Size"], item["LastModified"]


def open_store(slug: str) -> Store:
    """Open the storage block `type/name`. If `slug` is empty, open Prefect's default result storage.

    Raises:
        StoreUnknown: The block does not exist, or is neither an S3 bucket nor a local directory.
    """
    try:
        block: Any = Block.load(slug, _sync=True) if slug else get_default_result_storage(_sync=True)  # type: ignore[call-arg]
    except ValueError as error:
        raise StoreUnknown(f"there is no block {slug}: {error}") from None
    if isinstance(block, LocalFileSystem):
        return LocalStore(block)
    if hasattr(block, "bucket_name") and hasattr(block, "credentials"):
        return BucketStore(block)
    raise StoreUnknown(
        f"saved state in a {type(block).__name__} cannot be listed: use an S3 bucket or a local directory"
    )

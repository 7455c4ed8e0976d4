"""Instructions in S3: one object, or every object below a prefix, downloaded many at a time.

The form of keys and listings is that of https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html.
"""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from flows.aws.errors import ServiceErrors, named_errors
from flows.errors import (
    InstructionsAccessDenied,
    InstructionsEmpty,
    InstructionsNotFound,
    InstructionsTooLarge,
    InstructionsUnavailable,
    KeyCollision,
    UnsafeKey,
)
from flows.instructions.files import InstructionFile, Instructions, make_folders, read_instructions
from flows.parameters.addresses import S3Uri
from flows.sandbox.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 500 * 2**20
PARALLEL: Final = 32
"""Objects that are downloaded at the same time: the client needs as many connections."""

_COMPONENT_MAX_BYTES: Final = 255
_CHUNK_BYTES: Final = 2**20


def from_s3(workspace: Workspace, client: "S3Client", uri: S3Uri) -> Instructions:
    """Download the instructions; a second call begins again.

    Raises:
        InstructionsNotFound, InstructionsAccessDenied, InstructionsUnavailable: The error of S3.
        InstructionsEmpty, InstructionsTooLarge, InstructionsNotText: The files cannot be instructions.
        UnsafeKey, KeyCollision: A key cannot become a file.
    """
    for leftover in workspace.instructions.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    with named_errors(_errors(str(uri))):
        keys = _list(client, uri) if uri.is_folder else {PurePosixPath(uri.key).name: uri.key}
    _check_paths(keys)
    make_folders(workspace, keys)

    def download(item: tuple[str, str]) -> InstructionFile:
        path, key = item
        return _download(workspace, client, S3Uri(uri.bucket, key, is_folder=False), path)

    with ThreadPoolExecutor(PARALLEL, "instructions") as pool:
        files = tuple(pool.map(download, keys.items()))
    return read_instructions(workspace, str(uri), files)


def _errors(resource: str) -> ServiceErrors:
    return ServiceErrors(resource, InstructionsNotFound, InstructionsAccessDenied, InstructionsUnavailable)


def _list(client: "S3Client", uri: S3Uri) -> dict[str, str]:
    """Return the keys by relative path; the `folder/` markers that consoles make are not files."""
    keys: dict[str, str] = {}
    size = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=uri.bucket, Prefix=uri.key):
        if "IsTruncated" not in page:
            # A response that broke off among its headers reads like a complete, empty list.
            raise InstructionsUnavailable(f"{uri}: S3 sent an incomplete list of it")
        for item in page.get("Contents", []):
            if item["Key"].endswith("/"):
                continue
            keys[item["Key"].removeprefix(uri.key)] = item["Key"]
            size += item["Size"]
            _check_size(str(uri), len(keys), size)
    if not keys:
        raise InstructionsEmpty(f"{uri} holds no object: upload the instructions there, or correct the prefix")
    return keys


def _check_size(source: str, count: int, size: int) -> None:
    if count > MAX_FILES or size > MAX_BYTES:
        raise InstructionsTooLarge(
            f"{source} is over {MAX_FILES:,} files or {MAX_BYTES >> 20} MiB: name a narrower prefix, or put data "
            "that the work needs into the repository"
        )


def _check_paths(keys: dict[str, str]) -> None:
    """Refuse keys that are not a path below a directory, or that some file system would store as one file."""
    seen: dict[str, str] = {}
    folders = {str(parent).casefold() for path in keys for parent in PurePosixPath(path).parents}
    for path, key in keys.items():
        parts = path.split("/")
        if any(part in {"", ".", ".."} or part.lower() == ".git" or "\0" in part for part in parts):
            raise UnsafeKey(f"the key {key!r} cannot become a file below the instructions' directory: rename it")
        if any(len(part.encode()) > _COMPONENT_MAX_BYTES for part in parts):
            raise UnsafeKey(f"the key {key!r} has a part of over {_COMPONENT_MAX_BYTES} bytes: rename it")
        folded = path.casefold()
        if folded in folders or folded in seen:
            raise KeyCollision(f"the keys {key!r} and {seen.get(folded, key + '/…')!r} would be one file: rename one")
        seen[folded] = key


def _download(workspace: Workspace, client: "S3Client", uri: S3Uri, path: str) -> InstructionFile:
    target, digest = workspace.instructions / path, hashlib.sha256()
    with named_errors(_errors(str(uri))):
        response = client.get_object(Bucket=uri.bucket, Key=uri.key)
        size = response["ContentLength"]
        _check_size(str(uri), 1, size)
        with target.open("wb") as file:
            for chunk in response["Body"].iter_chunks(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
    workspace.agent.lend(target)
    etag, version_id = response["ETag"].strip('"'), response.get("VersionId", "")
    return InstructionFile(path, size, etag, version_id, digest.hexdigest())

"""Downloads the instructions from S3: one object, or all objects below a prefix, in parallel.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html describes keys and listings.
"""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
"""How many objects are downloaded at the same time. The S3 client needs the same number of connections."""

_COMPONENT_MAX_BYTES: Final = 255
_CHUNK_BYTES: Final = 2**20


def from_s3(workspace: Workspace, client: "S3Client", uri: S3Uri) -> Instructions:
    """Download the instructions from S3 and return them. Files that an earlier call downloaded are removed first.

    Raises:
        InstructionsNotFound, InstructionsAccessDenied, InstructionsUnavailable: An object does not
            exist, may not be read, or cannot be read at the moment.
        AwsCredentialsMissing: There are no AWS credentials, or AWS refused them.
        InstructionsEmpty, InstructionsTooLarge, InstructionsNotText: The files are empty, too large or not text.
        UnsafeKey, KeyCollision: A key cannot be the path of a file, or two keys would become one file.
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

    try:
        with ThreadPoolExecutor(PARALLEL, "instructions") as pool:
            files = tuple(pool.map(download, keys.items()))
    except (InstructionsNotFound, InstructionsAccessDenied) as error:
        if not uri.is_folder and _has_objects(client, uri.bucket, f"{uri.key}/"):
            raise type(error)(f"{error}; {uri} is a folder: set instructions_s3_uri to {uri}/*") from None
        raise
    return read_instructions(workspace, str(uri), files)


def _errors(resource: str) -> ServiceErrors:
    return ServiceErrors(resource, InstructionsNotFound, InstructionsAccessDenied, InstructionsUnavailable)


def _list(client: "S3Client", uri: S3Uri) -> dict[str, str]:
    """Return the keys below the prefix, by relative path, without the `folder/` objects that S3 consoles create."""
    keys: dict[str, str] = {}
    size = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=uri.bucket, Prefix=uri.key):
        if "IsTruncated" not in page:
            # A response that ends within its headers looks like a complete, empty listing.
            raise InstructionsUnavailable(f"S3 sent an incomplete listing of {uri}")
        for item in page.get("Contents", []):
            if item["Key"].endswith("/"):
                continue
            keys[item["Key"].removeprefix(uri.key)] = item["Key"]
            size += item["Size"]
            _check_size(str(uri), len(keys), size)
    if not keys and _has_object(client, uri):
        file = str(uri).removesuffix("/*")
        raise InstructionsEmpty(f"{uri} contains no objects; {file} is an object: set instructions_s3_uri to {file}")
    if not keys:
        raise InstructionsEmpty(f"{uri} contains no objects: upload the instructions there, or correct the prefix")
    return keys


def _has_objects(client: "S3Client", bucket: str, prefix: str) -> bool:
    """Whether there are objects below the prefix; False if this process has no permission to list them."""
    with suppress(Exception):  # the answer only improves an error message
        return bool(client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))
    return False


def _has_object(client: "S3Client", uri: S3Uri) -> bool:
    """Whether an object exists whose key is the folder's name without its final slash."""
    with suppress(Exception):
        client.head_object(Bucket=uri.bucket, Key=uri.key.removesuffix("/"))
        return True
    return False


def _check_size(source: str, count: int, size: int) -> None:
    if count > MAX_FILES or size > MAX_BYTES:
        raise InstructionsTooLarge(
            f"{source} has more than {MAX_FILES:,} files or {MAX_BYTES >> 20} MiB: use a narrower prefix, or put data "
            "that the work needs into the repository"
        )


def _check_paths(keys: dict[str, str]) -> None:
    """Raise `UnsafeKey` if a key cannot be the path of a file, `KeyCollision` if two keys would become one file."""
    seen: dict[str, str] = {}
    folders = {str(parent).casefold() for path in keys for parent in PurePosixPath(path).parents}
    for path, key in keys.items():
        parts = path.split("/")
        if any(part in {"", ".", ".."} or part.lower() == ".git" or "\0" in part for part in parts):
            raise UnsafeKey(f"the key {key!r} cannot become a file below the instructions' directory: rename it")
        if any(len(part.encode()) > _COMPONENT_MAX_BYTES for part in parts):
            raise UnsafeKey(f"the key {key!r} has a part longer than {_COMPONENT_MAX_BYTES} bytes: rename it")
        folded = path.casefold()
        if folded in folders or folded in seen:
            raise KeyCollision(
                f"the keys {key!r} and {seen.get(folded, key + '/…')!r} would become the same file: rename one"
            )
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

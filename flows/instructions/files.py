"""The instructions: from S3, or from the text of a parameter, to read-only files beside the work tree."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from flows.aws.session import Outcomes, named_errors
from flows.errors import (
    InstructionsAccessDenied,
    InstructionsEmpty,
    InstructionsNotFound,
    InstructionsNotText,
    InstructionsTooLarge,
    InstructionsUnavailable,
    KeyCollision,
    UnsafeKey,
)
from flows.instructions.s3_objects import S3Object, S3Objects
from flows.parameters.addresses import S3Uri
from flows.sandbox.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 500 * 2**20
MAX_MAIN_BYTES: Final = 2**20
PARALLEL: Final = 32
MAIN_NAMES: Final = ("main.md", "instructions.md", "readme.md")
INLINE_NAME: Final = "instructions.md"
_COMPONENT_MAX_BYTES: Final = 255
_MANY: Final = 64
"""More objects than this are worth one more request, to learn how to ask for them faster."""
_CHUNK_BYTES: Final = 2**20


@dataclass(frozen=True)
class InstructionFile:
    """One file, and which version of it was taken."""

    path: str
    size: int
    etag: str = ""
    version_id: str = ""
    sha256: str = field(default="", compare=False)


@dataclass(frozen=True)
class Instructions:
    """The files of a run, and the one to begin with (`main`, empty where none stands out)."""

    source: str
    files: tuple[InstructionFile, ...]
    main: str
    main_text: str

    @property
    def others(self) -> tuple[str, ...]:
        """The paths of all files but the main one."""
        return tuple(file.path for file in self.files if file.path != self.main)


def from_text(workspace: Workspace, text: str) -> Instructions:
    """Write the inline instructions to a file, as if they had been one in S3."""
    content = text.encode()
    workspace.lend(workspace.instructions / INLINE_NAME, content)
    file = InstructionFile(INLINE_NAME, len(content), sha256=hashlib.sha256(content).hexdigest())
    return _read(workspace, "inline", (file,))


def stream(workspace: Workspace, files: Iterable[InstructionFile]) -> Iterator[bytes]:
    """Yield the files' bytes, one file after the other."""
    for taken in files:
        with (workspace.instructions / taken.path).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk


def from_stream(workspace: Workspace, files: Sequence[InstructionFile], chunks: Iterable[bytes]) -> None:
    """Write the instructions of an earlier execution of the run, as they were then, from what `stream` yielded."""
    _make_folders(workspace, [file.path for file in files])
    rest, left = iter(chunks), memoryview(b"")
    for file in files:
        path = workspace.instructions / file.path
        with path.open("wb") as target:
            while (missing := file.size - target.tell()) and (left := left or memoryview(next(rest, b""))):
                target.write(left[:missing])
                left = left[missing:]
        workspace.agent.lend(path)


def from_s3(workspace: Workspace, client: "S3Client", uri: S3Uri) -> Instructions:
    """Download one object, or every object below a prefix, many at a time; a second call starts afresh."""
    for leftover in workspace.instructions.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    outcomes = Outcomes(str(uri), InstructionsNotFound, InstructionsAccessDenied, InstructionsUnavailable)
    with named_errors(outcomes):
        listed = _list(client, uri) if uri.is_folder else {PurePosixPath(uri.key).name: (uri.key, MAX_BYTES)}
    _check_paths({path: key for path, (key, _) in listed.items()})
    _make_folders(workspace, listed)
    objects = S3Objects(client, uri.bucket, PARALLEL)
    if len(listed) > _MANY:
        with named_errors(outcomes):
            objects.learn(next(iter(listed.values()))[0])

    def download(item: tuple[str, tuple[str, int]]) -> InstructionFile:
        path, (key, size) = item
        name = f"s3://{uri.bucket}/{key}"
        with named_errors(Outcomes(name, outcomes.missing, outcomes.denied, outcomes.unavailable)):
            return _write(workspace, path, objects.get(key, size), name)

    with ThreadPoolExecutor(PARALLEL, "instructions") as pool:
        files = tuple(pool.map(download, listed.items()))
    return _read(workspace, str(uri), files)


def _list(client: "S3Client", uri: S3Uri) -> dict[str, tuple[str, int]]:
    """Return key and size by relative path; `folder/` markers, which consoles make, are no files."""
    paths: dict[str, tuple[str, int]] = {}
    size = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=uri.bucket, Prefix=uri.key):
        if "IsTruncated" not in page:
            # An answer that broke off among its headers reads like one that ended, and like a list of nothing.
            raise InstructionsUnavailable(f"{uri}: S3's list of it broke off")
        for item in page.get("Contents", []):
            if item["Key"].endswith("/"):
                continue
            paths[item["Key"].removeprefix(uri.key)] = item["Key"], item["Size"]
            size += item["Size"]
            _check_size(str(uri), len(paths), size)
    if not paths:
        raise InstructionsEmpty(f"{uri} holds no object: upload the instructions there, or correct the prefix")
    return paths


def _check_size(source: str, count: int, size: int) -> None:
    if count > MAX_FILES or size > MAX_BYTES:
        raise InstructionsTooLarge(
            f"{source} is over {MAX_FILES:,} files or {MAX_BYTES >> 20} MiB: name a narrower prefix, or put data "
            "that the work needs into the repository"
        )


def _make_folders(workspace: Workspace, paths: Iterable[str]) -> None:
    for folder in sorted({parent for path in paths for parent in PurePosixPath(path).parents} - {PurePosixPath()}):
        (workspace.instructions / folder).mkdir()
        workspace.agent.lend(workspace.instructions / folder)


def _check_paths(paths: dict[str, str]) -> None:
    """Refuse keys that are no path below a directory, or that would be one file on some file system."""
    seen: dict[str, str] = {}
    folders = {str(parent).casefold() for path in paths for parent in PurePosixPath(path).parents}
    for path, key in paths.items():
        parts = path.split("/")
        if any(part in {"", ".", ".."} or part.lower() == ".git" or "\0" in part for part in parts):
            raise UnsafeKey(f"the key {key!r} cannot become a file below the instructions' directory: rename it")
        if any(len(part.encode()) > _COMPONENT_MAX_BYTES for part in parts):
            raise UnsafeKey(f"the key {key!r} has a part of over {_COMPONENT_MAX_BYTES} bytes: rename it")
        folded = path.casefold()
        if folded in folders or folded in seen:
            raise KeyCollision(f"the keys {key!r} and {seen.get(folded, key + '/…')!r} would be one file: rename one")
        seen[folded] = key


def _write(workspace: Workspace, path: str, found: S3Object, name: str) -> InstructionFile:
    _check_size(name, 1, found.size)
    target, digest = workspace.instructions / path, hashlib.sha256()
    with target.open("wb") as file:
        for chunk in found.chunks:
            file.write(chunk)
            digest.update(chunk)
    workspace.agent.lend(target)
    return InstructionFile(path, found.size, found.etag, found.version_id, digest.hexdigest())


def _read(workspace: Workspace, source: str, files: tuple[InstructionFile, ...]) -> Instructions:
    if not any(_has_text(workspace.instructions / file.path) for file in files):
        raise InstructionsEmpty(f"{source} holds only white space: write down what is to be done")
    main = main_file([file.path for file in files])
    text = _text(workspace.instructions / main, source) if main else ""
    return Instructions(source, files, main, text)


def _has_text(path: Path) -> bool:
    with path.open("rb") as file:
        return any(chunk.strip(b"\xef\xbb\xbf \t\r\n\v\f") for chunk in iter(lambda: file.read(2**16), b""))


def main_file(paths: list[str]) -> str:
    """Return the file that holds the instructions proper; empty where none stands out."""
    if len(paths) == 1:
        return paths[0]
    top = {path.lower(): path for path in paths if "/" not in path}
    named = [top[name] for name in MAIN_NAMES if name in top]
    markdown = [path for name, path in top.items() if name.endswith((".md", ".markdown"))]
    return named[0] if named else markdown[0] if len(markdown) == 1 else ""


def _text(path: Path, source: str) -> str:
    if path.stat().st_size > MAX_MAIN_BYTES:
        raise InstructionsTooLarge(
            f"{path.name} of {source} is over {MAX_MAIN_BYTES >> 20} MiB: move data to other files"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InstructionsNotText(
            f"{path.name} of {source} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from None
    if not text.strip():
        raise InstructionsEmpty(f"{path.name} of {source} holds only white space: write down what is to be done")
    return text

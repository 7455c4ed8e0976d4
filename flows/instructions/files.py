"""Writes and reads a run's instruction files. They are outside the work tree, and the agent may only read them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from flows.errors import InstructionsEmpty, InstructionsNotText, InstructionsTooLarge
from flows.sandbox.workspace import Workspace

MAX_MAIN_BYTES: Final = 2**20
MAIN_NAMES: Final = ("main.md", "instructions.md", "readme.md")
INLINE_NAME: Final = "instructions.md"
_CHUNK_BYTES: Final = 2**20


@dataclass(frozen=True)
class InstructionFile:
    """One instruction file, with its ETag and version id in S3. Both are empty for instructions from a parameter."""

    path: str
    size: int
    """The size of the file in bytes."""
    etag: str = ""
    version_id: str = ""
    sha256: str = field(default="", compare=False)


@dataclass(frozen=True)
class IssueSource:
    """The issue that is the instructions of a run. The lines about accounts hold untrusted names."""

    repository: str
    """The address of the page of the issue's repository."""
    number: int
    url: str
    reference: str
    """How a text in the run's repository names the issue, such as `#12`."""
    author: str
    """The name and the id of the account that opened the issue, and whether it may push."""
    is_by_stranger: bool = False
    """Whether the author may not push."""
    unheard: tuple[str, ...] = ()
    """A line for each comment that is not among the instructions: who, and why."""
    omission: str = ""
    """A sentence about what was not read; empty if everything was."""
    is_partly_done: bool = False
    """Whether an earlier run on the branch left a part of it undone."""


@dataclass(frozen=True)
class Instructions:
    """The instruction files of a run. `main` is the path of the file to read first; empty if there is no main file."""

    source: str
    files: tuple[InstructionFile, ...]
    main: str
    main_text: str
    issue: IssueSource | None = None
    """The issue that the instructions are; None if they come from elsewhere."""

    @property
    def other_paths(self) -> tuple[str, ...]:
        """The paths of all files except the main one."""
        return tuple(file.path for file in self.files if file.path != self.main)


def from_text(workspace: Workspace, text: str) -> Instructions:
    """Write instructions from a parameter to a file, and return them in the same form as instructions from S3."""
    return write_instructions(workspace, "inline", INLINE_NAME, text)


def write_instructions(workspace: Workspace, source: str, name: str, text: str) -> Instructions:
    """Write a text to the one instruction file of a run, and return the instructions."""
    content = text.encode()
    workspace.lend(workspace.instructions / name, content)
    file = InstructionFile(name, len(content), sha256=hashlib.sha256(content).hexdigest())
    return read_instructions(workspace, source, (file,))


def read_instructions(workspace: Workspace, source: str, files: tuple[InstructionFile, ...]) -> Instructions:
    """Read the instruction files, which are already in the workspace, and return the instructions.

    Raises:
        InstructionsEmpty: All files, or the main file, contain only white space.
        InstructionsNotText: The main file is not UTF-8.
        InstructionsTooLarge: The main file is larger than `MAX_MAIN_BYTES`.
    """
    if not any(_has_text(workspace.instructions / file.path) for file in files):
        raise InstructionsEmpty(f"{source} contains only white space: write down what the agent should do")
    main = main_file([file.path for file in files])
    text = _read_main(workspace.instructions / main, source) if main else ""
    return Instructions(source, files, main, text)


def content_stream(workspace: Workspace, files: Iterable[InstructionFile]) -> Iterator[bytes]:
    """Yield the bytes of the files in chunks, one file after another."""
    for file in files:
        with (workspace.instructions / file.path).open("rb") as content:
            while chunk := content.read(_CHUNK_BYTES):
                yield chunk


def restore(workspace: Workspace, files: Sequence[InstructionFile], chunks: Iterable[bytes]) -> None:
    """Write the instruction files again, from the chunks that `content_stream` yielded in an earlier attempt."""
    make_folders(workspace, [file.path for file in files])
    stream, buffer = iter(chunks), memoryview(b"")
    for file in files:
        path = workspace.instructions / file.path
        with path.open("wb") as target:
            while (missing := file.size - target.tell()) and (buffer := buffer or memoryview(next(stream, b""))):
                target.write(buffer[:missing])
                buffer = buffer[missing:]
        workspace.agent.lend(path)


def make_folders(workspace: Workspace, paths: Iterable[str]) -> None:
    """Create the parent folders of the files at these paths, below the directory of the instructions."""
    for folder in sorted({parent for path in paths for parent in PurePosixPath(path).parents} - {PurePosixPath()}):
        (workspace.instructions / folder).mkdir()
        workspace.agent.lend(workspace.instructions / folder)


def main_file(paths: list[str]) -> str:
    """Return the path of the main instruction file; empty if the names do not show which file is the main one."""
    if len(paths) == 1:
        return paths[0]
    top = {path.lower(): path for path in paths if "/" not in path}
    named = [top[name] for name in MAIN_NAMES if name in top]
    markdown = [path for name, path in top.items() if name.endswith((".md", ".markdown"))]
    return named[0] if named else markdown[0] if len(markdown) == 1 else ""


def _has_text(path: Path) -> bool:
    with path.open("rb") as file:
        return any(chunk.strip(b"\xef\xbb\xbf \t\r\n\v\f") for chunk in iter(lambda: file.read(2**16), b""))


def _read_main(path: Path, source: str) -> str:
    if path.stat().st_size > MAX_MAIN_BYTES:
        raise InstructionsTooLarge(
            f"{path.name} of {source} is larger than {MAX_MAIN_BYTES >> 20} MiB: move data from it to other files"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InstructionsNotText(
            f"{path.name} of {source} is not UTF-8 text: {error.reason} at byte {error.start}: save it as UTF-8"
        ) from None
    if not text.strip():
        raise InstructionsEmpty(
            f"{path.name} of {source} contains only white space: write down what the agent should do"
        )
    return text

"""The filter of Git LFS: each content survives its way into an object and back, and a pointer passes unchanged."""

import subprocess
from collections.abc import Iterator

import pytest

from flows.repository.lfs_filter import create_filter, filter_config, object_path
from flows.repository.lfs_pointers import MAX_POINTER_BYTES, POINTER_START, Pointer
from flows.sandbox.workspace import Workspace, workspace
from tests.support.lfs_repository import pointer_to

EXTENSION = POINTER_START + b"ext-0-foo sha256:" + b"1" * 64 + b"\noid sha256:" + b"2" * 64 + b"\nsize 3\n"
NOT_STORED = {
    "empty": b"",
    "pointer": pointer_to(b"an object that is not here").encode(),
    "pointer-without-line-end": pointer_to(b"an object that is not here").strip().encode(),
    "pointer-with-extension": EXTENSION,
    "only-the-first-line": POINTER_START,
}
STORED = {
    "text": b"text\n",
    "zero": b"\0",
    "first-line-with-zero": b"\0a\n\0b",
    "almost-a-pointer": b" " + pointer_to(b"x").encode(),
    "other-version": pointer_to(b"x").replace("spec/v1", "spec/v2").encode(),
    "1023": b"a" * MAX_POINTER_BYTES,
    "1024": b"a" * 1024,
    "1025": bytes(1025),
    "like-a-pointer-but-long": (pointer_to(b"x") * 10).encode(),
    "large": bytes(range(256)) * 5000,
}


@pytest.fixture(scope="module")
def directories() -> Iterator[Workspace]:
    with workspace() as created:
        create_filter(created, {})
        yield created


def run_filter(directories: Workspace, verb: str, content: bytes) -> bytes:
    command = directories.agent.argv(["sh", str(directories.config / "lfs-filter"), verb])
    return subprocess.run(command, input=content, check=True, capture_output=True).stdout


@pytest.mark.parametrize("case", STORED)
def test_content_becomes_a_pointer_and_comes_back(directories: Workspace, case: str) -> None:
    content = STORED[case]
    pointer = run_filter(directories, "clean", content)
    assert pointer.decode() == pointer_to(content)
    assert run_filter(directories, "clean", pointer) == pointer
    assert run_filter(directories, "smudge", pointer) == content
    parsed = Pointer.parse(pointer)
    assert parsed is not None
    assert object_path(directories, parsed.oid).read_bytes() == content


@pytest.mark.parametrize("case", NOT_STORED)
def test_a_pointer_passes_unchanged(directories: Workspace, case: str) -> None:
    content = NOT_STORED[case]
    assert run_filter(directories, "clean", content) == content
    assert run_filter(directories, "smudge", content) == content


@pytest.mark.parametrize("case", STORED)
def test_content_that_the_repository_has_without_a_pointer_is_checked_out_as_it_is(
    directories: Workspace, case: str
) -> None:
    assert run_filter(directories, "smudge", STORED[case]) == STORED[case]


def test_the_filter_leaves_nothing_but_objects(directories: Workspace) -> None:
    run_filter(directories, "clean", b"once")
    run_filter(directories, "smudge", b"more")
    assert [path.name for path in (directories.root / "lfs").iterdir()] == ["objects"]


def test_without_the_filter_there_is_no_configuration(directories: Workspace) -> None:
    assert "required = true" in filter_config(directories)
    with workspace() as other:
        assert filter_config(other) == ""

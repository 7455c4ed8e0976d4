"""Instructions from S3 (moto): which keys become files, and which errors its responses become."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.core import set_initial_no_auth_action_count
from mypy_boto3_s3 import S3Client

from flows import errors
from flows.instructions import s3 as instructions_in_s3
from flows.instructions.files import InstructionFile, Instructions, content_stream, restore
from flows.instructions.s3 import from_s3
from flows.parameters.addresses import S3Uri
from flows.sandbox.workspace import Workspace, workspace
from tests.support.aws_account import aws_in_this_process

BUCKET = "documents"
SESSION = boto3.Session("testing", "testing", region_name="us-east-1")


@pytest.mark.parametrize(
    "path",
    [
        "../a", "a/../b", "..", ".", "./a", "a/./b", "/a", "//a", "a//b", "a/", "", "a\0b", "a" * 256, "é" * 128,
        "a/" + "b" * 256, ".git", ".git/config", "a/.git/hooks/pre-commit", ".GIT/config", "a/.Git",
    ],
)  # fmt: skip
def test_a_key_that_cannot_become_a_file_is_refused(path: str) -> None:
    with pytest.raises(errors.UnsafeKey, match="key"):
        instructions_in_s3._check_paths({"main.md": "p/main.md", path: f"p/{path}"})


@pytest.mark.parametrize(
    "paths", [["a", "A"], ["p/a.md", "p/A.MD"], ["straße", "STRASSE"], ["a", "a/b"], ["a/b/c", "a/b"], ["A", "a/b"],
              ["x/Y/z", "x/y"]]
)  # fmt: skip
def test_keys_that_would_become_the_same_file_are_refused(paths: list[str]) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(errors.KeyCollision, match="p/"):
            instructions_in_s3._check_paths({path: f"p/{path}" for path in order})


def test_strange_keys_that_can_become_files_are_accepted() -> None:
    names = ["-rf", "a b", "é", "a\nb", "...", "..a", "a..", ".gitignore", ".github/x", "a\\b", "b" * 255, "é" * 127]
    instructions_in_s3._check_paths({name: f"p/{name}" for name in names})


PARTS = st.sampled_from(["a", "A", "..", ".", "", ".git", "b" * 256, "-rf", "\n", "\0", "é"]) | st.text(max_size=8)
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(KEYS, min_size=1, max_size=4, unique=True))
def test_all_keys_become_files_below_the_directory_or_there_is_a_named_error(tmp_path: Path, keys: list[str]) -> None:
    try:
        instructions_in_s3._check_paths({key: key for key in keys})
    except (errors.UnsafeKey, errors.KeyCollision):
        return
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_text(key)
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == set(keys)


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with aws_in_this_process():
        client = SESSION.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client
        versions = client.list_object_versions(Bucket=BUCKET).get("Versions", [])
        for version in versions:
            client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
        client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as directories:
        yield directories


@pytest.fixture
def fetch(s3: S3Client, directories: Workspace) -> Callable[..., Instructions]:
    """Upload files, then fetch the object of a key, or the folder if the key is empty or ends in a slash."""

    def call(key: str, files: dict[str, bytes] | None = None) -> Instructions:
        for name, content in (files or {}).items():
            s3.put_object(Bucket=BUCKET, Key=name, Body=content)
        return from_s3(directories, s3, S3Uri(BUCKET, key, is_folder=key.endswith("/") or not key))

    return call


def on_disk(directories: Workspace) -> dict[str, bytes]:
    files = (path for path in directories.instructions.rglob("*") if path.is_file())
    return {str(path.relative_to(directories.instructions)): path.read_bytes() for path in files}


def test_a_single_file_is_the_main_one(fetch: Callable[..., Instructions], directories: Workspace) -> None:
    instructions = fetch("a/b/todo.txt", {"a/b/todo.txt": b"Do it", "a/b/other.md": b"no"})
    assert on_disk(directories) == {"todo.txt": b"Do it"}
    assert (instructions.source, instructions.main, instructions.main_text) == (
        "s3://documents/a/b/todo.txt",
        "todo.txt",
        "Do it",
    )
    assert instructions.other_paths == ()


def test_a_folder_keeps_its_structure_and_markers_do_not_become_files(
    fetch: Callable[..., Instructions], directories: Workspace
) -> None:
    files = {"p/main.md": b"Do it", "p/a/b/c.json": b"{}", "p/a/d é.yaml": b"x: 1", "p/empty.txt": b""}
    instructions = fetch("p/", {**files, "p/": b"", "p/a/": b"", "p/folder/": b"", "pq/x.md": b"another prefix"})
    assert on_disk(directories) == {name.removeprefix("p/"): content for name, content in files.items()}
    assert (instructions.source, instructions.main, instructions.main_text) == (
        "s3://documents/p/*",
        "main.md",
        "Do it",
    )
    assert sorted(instructions.other_paths) == ["a/b/c.json", "a/d é.yaml", "empty.txt"]
    assert {file.path: file.size for file in instructions.files}["empty.txt"] == 0


def test_a_whole_bucket_is_a_folder(fetch: Callable[..., Instructions], directories: Workspace) -> None:
    assert fetch("", {"main.md": b"Do it", "a/b.txt": b"x"}).source == "s3://documents/*"
    assert on_disk(directories) == {"main.md": b"Do it", "a/b.txt": b"x"}


def test_a_second_fetch_removes_the_files_of_the_first(
    s3: S3Client, fetch: Callable[..., Instructions], directories: Workspace
) -> None:
    fetch("p/", {"p/main.md": b"one", "p/a/b.txt": b"x"})
    s3.delete_object(Bucket=BUCKET, Key="p/a/b.txt")
    assert fetch("p/", {"p/main.md": b"two", "p/a": b"now a file"}).main_text == "two"
    assert on_disk(directories) == {"main.md": b"two", "a": b"now a file"}


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\xef\xbb\xbfDo it", "Do it"), (b"Do\r\nit\r\n", "Do\r\nit\r\n"), (b"\n Do\n", "\n Do\n"), (b"\xc3\xa9", "é")],
)
def test_the_text_is_unchanged_except_for_a_byte_order_mark(
    fetch: Callable[..., Instructions], directories: Workspace, content: bytes, text: str
) -> None:
    assert fetch("main.md", {"main.md": content}).main_text == text
    assert on_disk(directories) == {"main.md": content}


@pytest.mark.parametrize(
    ("key", "files", "error"),
    [
        ("main.md", {"main.md": b"\xff\xfeD\x00"}, errors.InstructionsNotText),
        ("main.md", {"main.md": "Été".encode("latin-1")}, errors.InstructionsNotText),
        ("p/", {"p/main.md": b"\xc3", "p/a.txt": b"text"}, errors.InstructionsNotText),
        ("main.md", {"main.md": b""}, errors.InstructionsEmpty),
        ("main.md", {"main.md": b"\xef\xbb\xbf \r\n\t\n"}, errors.InstructionsEmpty),
        ("main.md", {"main.md": "\u00a0\u3000\n".encode()}, errors.InstructionsEmpty),
        ("p/", {"p/a.yaml": b" \n", "p/b.json": b""}, errors.InstructionsEmpty),
        ("p/", {"p/main.md": b" \n", "p/b.json": b"{}"}, errors.InstructionsEmpty),
        ("p/", {"other/a.md": b"x", "p/": b"", "p/a/": b""}, errors.InstructionsEmpty),
        ("main.md", {}, errors.InstructionsNotFound),
        ("p", {"p/main.md": b"x"}, errors.InstructionsNotFound),
        ("p/", {"p/../a": b"x", "p/main.md": b"x"}, errors.UnsafeKey),
        ("p/", {"p//a": b"x"}, errors.UnsafeKey),
        ("..", {"..": b"x"}, errors.UnsafeKey),
        ("p/", {"p/a": b"x", "p/A": b"x"}, errors.KeyCollision),
        ("main.md", {"main.md": b"x" * (2**20 + 1)}, errors.InstructionsTooLarge),
    ],
)
def test_instructions_that_cannot_be_used_have_a_named_error(
    fetch: Callable[..., Instructions], key: str, files: dict[str, bytes], error: type[errors.RunError]
) -> None:
    with pytest.raises(errors.RunError) as caught:
        fetch(key, files)
    assert type(caught.value) is error
    assert not caught.value.retryable


def test_a_file_beside_the_main_one_need_not_be_text(fetch: Callable[..., Instructions]) -> None:
    assert fetch("p/", {"p/main.md": b"Do it", "p/logo.png": b"\xff\x00"}).other_paths == ("logo.png",)


@pytest.mark.parametrize("uri", ["s3://no-such-bucket/main.md", "s3://no-such-bucket/p/*"])
def test_the_error_for_a_missing_bucket_names_it(s3: S3Client, directories: Workspace, uri: str) -> None:
    with pytest.raises(errors.InstructionsNotFound, match="no-such-bucket"):
        from_s3(directories, s3, S3Uri.parse(uri))


@pytest.mark.parametrize("uri", ["s3://documents/main.md", "s3://documents/*"])
@pytest.mark.parametrize(
    ("key_id", "error"), [("", errors.InstructionsAccessDenied), ("AKIAUNKNOWN", errors.AwsCredentialsMissing)]
)
def test_missing_permissions_and_unknown_credentials_are_different_errors(
    s3: S3Client, directories: Workspace, uri: str, key_id: str, error: type[errors.RunError]
) -> None:
    s3.put_object(Bucket=BUCKET, Key="main.md", Body=b"Do it")
    iam, name = SESSION.client("iam"), f"user-{uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    client = boto3.Session(key_id or key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1").client("s3")
    with pytest.raises(error) as caught:
        set_initial_no_auth_action_count(0)(from_s3)(directories, client, S3Uri.parse(uri))
    assert not caught.value.retryable
    assert key["SecretAccessKey"] not in str(caught.value)


def test_versions_and_etags_are_recorded(s3: S3Client, fetch: Callable[..., Instructions]) -> None:
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=BUCKET, Key="main.md", Body=b"first")
    response = s3.put_object(Bucket=BUCKET, Key="main.md", Body=b"second")
    expected = InstructionFile("main.md", 6, response["ETag"].strip('"'), response["VersionId"])
    assert fetch("main.md").files == (expected,)
    assert len(expected.etag) == 32
    assert expected.version_id


@pytest.mark.parametrize("limit", [("MAX_FILES", 3), ("MAX_BYTES", 30)])
def test_more_files_or_bytes_than_the_limit_are_refused_before_any_file_is_written(
    fetch: Callable[..., Instructions], directories: Workspace, limit: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instructions_in_s3, *limit)
    files = {f"p/{n}.md": b"x" * 10 for n in range(3)}
    assert len(fetch("p/", files).files) == 3
    with pytest.raises(errors.InstructionsTooLarge, match="narrower prefix"):
        fetch("p/", {"p/3.md": b"x" * 10})
    assert on_disk(directories) == {}


def test_two_hundred_files_are_fetched_each_with_its_content(
    fetch: Callable[..., Instructions], directories: Workspace
) -> None:
    files = {f"p/{n % 7}/{n}.txt": f"file {n}".encode() * n for n in range(1, 201)}
    instructions = fetch("p/", files)
    assert on_disk(directories) == {name.removeprefix("p/"): content for name, content in files.items()}
    assert {file.path: file.size for file in instructions.files} == {
        name: len(c) for name, c in on_disk(directories).items()
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: the agent has no uid of its own here, so nothing is lent")
def test_the_agent_can_read_the_files_and_change_nothing(
    fetch: Callable[..., Instructions], directories: Workspace
) -> None:
    fetch("p/", {"p/main.md": b"Do it", "p/a/b.txt": b"x"})
    for path in (directories.instructions, *directories.instructions.rglob("*")):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (0, directories.agent.uid)
        assert stat.S_IMODE(status.st_mode) == (0o750 if path.is_dir() else 0o640)
    script = "cat main.md; echo x >> main.md; rm -f a/b.txt; touch new; mv a c; chmod 777 main.md"
    completed_process = subprocess.run(
        directories.agent.argv(["sh", "-c", script]), cwd=directories.instructions, capture_output=True, check=False
    )
    assert completed_process.stdout == b"Do it"
    assert on_disk(directories) == {"main.md": b"Do it", "a/b.txt": b"x"}


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
def test_fetched_files_can_be_restored_unchanged(
    fetch: Callable[..., Instructions], directories: Workspace, chunk: int
) -> None:
    files = {"main.md": b"# Do it", "empty.txt": b"", "deep/down/data.bin": bytes(range(256)) * 8, "deep/a": b"a"}
    instructions = fetch("p/", {f"p/{path}": content for path, content in files.items()})
    whole = b"".join(content_stream(directories, instructions.files))
    with workspace() as elsewhere:
        restore(elsewhere, instructions.files, (whole[at : at + chunk] for at in range(0, len(whole), chunk)))
        restored = [path for path in elsewhere.instructions.rglob("*") if path.is_file()]
        assert {str(path.relative_to(elsewhere.instructions)): path.read_bytes() for path in restored} == files
        as_agent = elsewhere.agent.argv(["cat", str(elsewhere.instructions / "deep/down/data.bin")])
        assert subprocess.run(as_agent, capture_output=True, check=True).stdout == files["deep/down/data.bin"]


@pytest.mark.parametrize("key", ["docs", "a/b", "docs.v1"])
def test_a_folder_that_is_named_like_a_file_is_refused_with_the_uri_to_use(
    fetch: Callable[..., Instructions], key: str
) -> None:
    with pytest.raises(errors.InstructionsNotFound) as raised:
        fetch(key, {f"{key}/main.md": b"Do it", f"{key}x": b"another"})
    assert str(raised.value).endswith(f"is a folder: set instructions_s3_uri to s3://documents/{key}/*")


@pytest.mark.parametrize("key", ["main.md", "docs/todo.txt"])
def test_a_file_that_is_named_like_a_folder_is_refused_with_the_uri_to_use(
    fetch: Callable[..., Instructions], key: str
) -> None:
    with pytest.raises(errors.InstructionsEmpty) as raised:
        fetch(f"{key}/", {key: b"Do it"})
    assert str(raised.value).endswith(f"set instructions_s3_uri to s3://documents/{key}")


def test_a_key_that_is_neither_a_file_nor_a_folder_gets_no_other_uri(fetch: Callable[..., Instructions]) -> None:
    with pytest.raises(errors.InstructionsNotFound) as raised:
        fetch("docs", {"docs.md": b"Do it"})
    assert "set instructions_s3_uri" not in str(raised.value)

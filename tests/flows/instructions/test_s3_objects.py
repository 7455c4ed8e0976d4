"""Objects of S3 asked for without most of botocore are the same objects; all that is unusual is still botocore's."""

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from deployments.local.loopback import Asked, Exchange, LoopbackServer
from deployments.local.stack import BUCKET, LocalStack
from flows.instructions.s3_objects import S3Objects, _session
from tests.support.tls import by_tls

PREFIX = "s3-objects"
KEYS = ("plain.md", "with space.md", "plus+sign", "é/ü.txt", "a=b&c?d#e", "100%25", "~tilde", "dir/deep/er", "empty")


class Calls(list[str]):
    """The operations that botocore is asked for."""

    def note(self, model: object, **_: object) -> None:
        self.append(getattr(model, "name", ""))


class Four(LoopbackServer):
    """Answers when four have asked: on four connections."""

    def __init__(self) -> None:
        super().__init__()
        self._all_have_asked = threading.Barrier(4, timeout=30)

    def answer(self, asked: Asked, exchange: Exchange) -> None:
        del asked
        self._all_have_asked.wait()
        exchange.reply(200, b"")


@pytest.fixture
def client(stack: LocalStack) -> Iterator[S3Client]:
    made = stack.s3()
    for key in KEYS:
        made.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{key}", Body=b"" if key == "empty" else f"of {key}".encode())
    yield made
    for version in made.list_object_versions(Bucket=BUCKET, Prefix=f"{PREFIX}/").get("Versions", []):
        made.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])


@pytest.fixture
def calls(client: S3Client) -> Calls:
    made = Calls()
    client.meta.events.register("before-call.s3", made.note)
    return made


@pytest.fixture
def objects(client: S3Client) -> S3Objects:
    made = S3Objects(client, BUCKET, 4)
    made.learn(f"{PREFIX}/{KEYS[1]}")
    return made


def test_each_is_what_botocore_gives_without_a_call_of_its(client: S3Client, objects: S3Objects, calls: Calls) -> None:
    for key in KEYS:
        found = objects.get(f"{PREFIX}/{key}", 10)
        assert not calls, key
        usual = S3Objects(client, BUCKET, 4).get(f"{PREFIX}/{key}", 10)
        assert b"".join(found.chunks) == b"".join(usual.chunks)
        assert found.version_id
        assert replace(found, chunks=usual.chunks) == usual
        calls.clear()


def test_a_large_one_is_streamed_by_botocore(objects: S3Objects, calls: Calls) -> None:
    assert objects.get(f"{PREFIX}/plain.md", 2**30).size == len(b"of plain.md")
    assert calls == ["GetObject"]


def test_one_that_is_gone_is_botocores_error(objects: S3Objects) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        objects.get(f"{PREFIX}/gone", 10)


def test_where_nothing_listens_any_more_botocore_is_asked(objects: S3Objects, calls: Calls) -> None:
    objects._address = "http://127.0.0.1:9/bucket/"
    assert b"".join(objects.get(f"{PREFIX}/plain.md", 10).chunks) == b"of plain.md"
    assert calls == ["GetObject"]


def test_nothing_is_overheard_after_the_first(client: S3Client, objects: S3Objects) -> None:
    before = objects._overheard
    client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/plain.md")
    assert objects._overheard is before


def test_its_connections_load_the_authorities_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, loads = trustme.CA(), []
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    load = ssl.SSLContext.load_verify_locations

    def noted(self: ssl.SSLContext, *files: str | None) -> None:
        loads.append(files[0])
        load(self, *files)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noted)
    with by_tls(Four(), authority) as url, ThreadPoolExecutor(4) as threads:
        session = _session()(verify=str(tmp_path / "ca.pem"), max_pool_connections=4)  # type: ignore[arg-type]
        requests = [AWSRequest("GET", url).prepare() for _ in range(4)]
        assert {answer.status_code for answer in threads.map(session.send, requests)} == {200}
    assert loads == [str(tmp_path / "ca.pem")]
